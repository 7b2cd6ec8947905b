"""Distances between images, one number an image.

Pixels span [0, 1], so an L-infinity distance of 1 turns black into white.
"""

from torch import Tensor
from torch.linalg import vector_norm


def l2_distance(images: Tensor, others: Tensor) -> Tensor:
    """Euclidean distance per image: two (n, c, h, w) float tensors -> (n,), in pixel units."""
    distance: Tensor = vector_norm((images - others).flatten(1), dim=1)
    return distance


def linf_distance(images: Tensor, others: Tensor) -> Tensor:
    """Largest change of any pixel per image: two (n, c, h, w) float tensors -> (n,), in pixel units."""
    return (images - others).flatten(1).abs().amax(dim=1)
