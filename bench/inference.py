"""Logits of many images, batch by batch, without gradients."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from attacks.errors import ModelError, named_images
from attacks.precision import running_in
from bench.memory import BatchSize

BATCH = 200  # beyond it a CPU's caches overflow: 500 small images take 1.8 times as long each
BATCH_CUDA = 2000
_sizes: WeakKeyDictionary[nn.Module, BatchSize] = WeakKeyDictionary()  # what fitted, so that it is found out once


def logits_of_all(classifier: nn.Module, images: Tensor) -> Tensor:
    """(n, c, h, w) float32 in [0, 1] -> (n, classes) float32, on the same device.

    A batch that does not fit in memory is halved and tried again, down to a single image.

    Raises:
        ModelError: not even one image fits.
    """
    with torch.no_grad(), running_in("float32", images.device):  # models that purify images need gradients inside
        batch = _sizes.setdefault(classifier, BatchSize(BATCH_CUDA if images.is_cuda else BATCH))
        parts = batch.run(lambda part: classifier(images[part]), len(images), under="prediction")
        logits = parts or [classifier(images)]  # no images still have logits (0, classes)
        return torch.cat(logits).clone()


def require_finite_logits(logits: Tensor, sample_ids: Tensor) -> None:
    """Raise `ModelError` for NaN or infinity, whose predictions would count like any other.

    Args:
        logits: (n, classes) float32.
        sample_ids: (n,) int64, which test images they are of.
    """
    finite = torch.isfinite(logits).all(dim=1)  # (n,)
    if bool(finite.all()):
        return
    wrong = sample_ids.to(finite.device)[~finite].tolist()
    raise ModelError(
        f"the model gives NaN or infinite logits for test images {named_images(wrong)}; nothing is counted"
    )
