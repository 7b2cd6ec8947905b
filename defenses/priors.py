"""The distributions that an embedding is drawn toward.

Source: supplement C.4: standard Gaussian, Uniform(-3, 3), Cauchy(0, 1), independent per axis.
"""

import math

import torch
from torch import Generator, Tensor

from attacks.errors import RequestError
from attacks.registration import unknown_name

PRIORS = ("gaussian", "uniform", "cauchy")


def sample_prior(name: str, size: tuple[int, int], generator: Generator) -> Tensor:
    """Draw from a prior.

    Args:
        name: one of `PRIORS`.
        size: (n, embedding dimension).
        generator: source of randomness; the sample lies on its device.

    Returns:
        `size` float32.
    """
    device = generator.device
    match name:
        case "gaussian":
            return torch.randn(size, generator=generator, device=device)
        case "uniform":
            return 6 * torch.rand(size, generator=generator, device=device) - 3
        case "cauchy":  # the inverse distribution function of a uniform draw
            return torch.tan(math.pi * (torch.rand(size, generator=generator, device=device) - 0.5))
        case _:
            raise RequestError(unknown_name("prior", name, list(PRIORS)))
