"""The least suspicious success that an attack has found for each image so far."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.goal import reached


@dataclass(slots=True)
class Stealthiest:
    """Each image's version that meets the goal and looks most innocent; until one does, that with the largest margin.

    images: (n, c, h, w) float32 in [0, 1]; margin, suspicion: (n,) float32 of these; confidence: in logit units, what
    the goal asks for.
    """

    images: Tensor
    margin: Tensor
    suspicion: Tensor
    confidence: float

    @classmethod
    def of(cls, images: Tensor, confidence: float) -> "Stealthiest":
        """Nothing found yet for the (n, c, h, w) clean images."""
        unknown = images.new_full((len(images),), torch.inf)
        return cls(images.detach().clone(), -unknown, unknown, confidence)

    def keep(self, rows: Tensor, images: Tensor, margin: Tensor, suspicion: Tensor) -> Tensor:
        """Keep those of `images` (m, ...) at `rows` (m,) that are better than what is held.

        Returns:
            (m,) bool, which were.
        """
        met, met_before = reached(margin, self.confidence), reached(self.margin[rows], self.confidence)
        less_suspicious = suspicion < self.suspicion[rows]
        better = torch.where(met_before, met & less_suspicious, met | (margin > self.margin[rows]))
        kept = rows[better]
        self.images[kept] = images[better]
        self.margin[kept], self.suspicion[kept] = margin[better], suspicion[better]
        return better
