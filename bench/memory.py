"""What an exhausted memory looks like, on a CPU and on CUDA."""

import torch

WORDS = ("can't allocate memory", "ALLOC_FAILED")  # of the CPU's allocator, of cuBLAS and cuDNN


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, so that fewer images at a time may still fit."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)
    )
