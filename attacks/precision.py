"""The arithmetic a model's passes run in. Whatever an attack runs in, what it finds is judged again in float32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

PRECISIONS = ("float32", "tf32", "bfloat16")


@contextmanager
def running_in(precision: str, device: torch.device) -> Iterator[None]:
    """Run the block's forward and backward passes in a precision.

    Args:
        precision: "float32"; "tf32", whose products keep 10 bits (CUDA's matrix units; elsewhere the same as
            float32); or "bfloat16", by autocast, whose products keep 7.
        device: of the images.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"  # PyTorch's own default is True for convolutions
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
