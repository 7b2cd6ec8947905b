"""Logits of many images, batch by batch, without gradients."""

import logging

import torch
from torch import Tensor, nn

from attacks.errors import ModelError
from attacks.precision import running_in
from bench.memory import is_out_of_memory

BATCH = 500
MOST_NAMED = 10  # images, in an error
log = logging.getLogger("erbench")


def logits_of_all(classifier: nn.Module, images: Tensor) -> Tensor:
    """(n, c, h, w) float32 in [0, 1] -> (n, classes) float32, on the same device.

    A batch that does not fit in memory is halved and tried again, down to a single image.

    Raises:
        ModelError: not even one image fits.
    """
    with torch.inference_mode(), running_in("float32", images.device):
        logits: list[Tensor] = []
        start, size = 0, BATCH
        while start < len(images) or not logits:  # no images still have logits (0, classes)
            batch = images[start : start + size]
            try:
                logits.append(classifier(batch))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) <= 1:
                    raise ModelError(f"not even one image fits in memory: {error}") from error
                size = len(batch) // 2
                log.warning("%d images do not fit in memory; going on with %d", len(batch), size)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            start += len(batch)
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
    named = ", ".join(str(index) for index in wrong[:MOST_NAMED])
    more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
    raise ModelError(f"the model gives NaN or infinite logits for test images {named}{more}; nothing is counted")
