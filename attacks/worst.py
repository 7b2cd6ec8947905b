"""The worst that an attack has found for each image so far."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True)
class Worst:
    """Each image's version with the largest margin of the goal.

    images: (n, c, h, w) float32 in [0, 1]; margin: (n,) float32, -inf where nothing was kept yet.
    """

    images: Tensor
    margin: Tensor

    @classmethod
    def of(cls, images: Tensor) -> "Worst":
        """Nothing found yet for the (n, c, h, w) clean images."""
        return cls(images.detach().clone(), images.new_full((len(images),), -torch.inf))

    def keep(self, rows: Tensor, images: Tensor, margin: Tensor) -> None:
        """Keep those of `images` (m, ...) at `rows` (m,) whose margin (m,) is larger than what is held."""
        worse = margin > self.margin[rows]
        kept = rows[worse]
        self.images[kept] = images[worse]
        self.margin[kept] = margin[worse]

    def settle(self, rows: Tensor, images: Tensor) -> None:
        """Keep `images` (m, ...) at `rows` (m,) for good: broken beyond doubt, whatever seemed worse before."""
        self.images[rows] = images
        self.margin[rows] = torch.inf
