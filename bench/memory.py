"""What an exhausted memory looks like, on a CPU and on CUDA, and work in batches that fit into it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from attacks.errors import ModelError

WORDS = ("can't allocate memory", "ALLOC_FAILED")  # of the CPU's allocator, of cuBLAS and cuDNN
Result = TypeVar("Result")
log = logging.getLogger("erbench")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, so that fewer images at a time may still fit."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)
    )


@dataclass(slots=True)
class BatchSize:
    """How many images are worked on together; halved for good when they do not fit in memory."""

    size: int

    def run(self, work: Callable[[slice], Result], count: int, *, under: str = "") -> list[Result]:
        """Work on `count` images in batches; one that does not fit is halved and tried again, down to a single image.

        Args:
            work: what is done with the images of a slice.
            count: of all images.
            under: what the work is, for messages.

        Raises:
            ModelError: not even one image fits.
        """
        results: list[Result] = []
        doing = f" under {under}" if under else ""
        start, failed = 0, 0
        while start < count:
            end = min(count, start + self.size)
            try:
                results.append(work(slice(start, end)))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if end - start == 1:
                    raise ModelError(f"not even one image fits in memory{doing}: {error}") from error
                failed = failed or end - start
                self.size = (end - start) // 2
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            start = end
        if failed:
            log.warning("%d images do not fit in memory%s; it is done with %d at a time", failed, doing, self.size)
        return results
