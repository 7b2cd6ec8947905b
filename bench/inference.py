"""Logits of many images, batch by batch, without gradients."""

import torch
from torch import Tensor

from defenses.contract import Classifier

BATCH = 500


def logits_of_all(classifier: Classifier, images: Tensor) -> Tensor:
    """(n, c, h, w) float32 in [0, 1] -> (n, classes) float32, on the same device."""
    with torch.inference_mode():
        return torch.cat([classifier(batch) for batch in images.split(BATCH)]).clone()
