"""Logits of many images, batch by batch, without gradients."""

import torch
from torch import Tensor, nn

from attacks.precision import running_in

BATCH = 500


def logits_of_all(classifier: nn.Module, images: Tensor) -> Tensor:
    """(n, c, h, w) float32 in [0, 1] -> (n, classes) float32, on the same device."""
    with torch.inference_mode(), running_in("float32", images.device):
        return torch.cat([classifier(batch) for batch in images.split(BATCH)]).clone()
