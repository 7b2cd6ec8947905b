"""What an attack wants of each image, and when it has it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.margins import class_margin

Logits = Callable[[Tensor], Tensor]
"""Differentiable: (n, c, h, w) float32 in [0, 1] -> (n, classes) float32 logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What an attack wants of each image.

    classes: (n,) int64, the true classes to get away from, or, when `targeted`, the classes to be taken for.
    targeted: which of the two.
    """

    classes: Tensor
    targeted: bool = False

    def margin(self, logits: Tensor) -> Tensor:
        """(n, classes) logits -> (n,) in logit units; positive where the goal is met, with that confidence."""
        margin = class_margin(logits, self.classes)
        return margin if self.targeted else -margin

    def likeliest_others(self, logits: Tensor, most: int) -> Tensor:
        """The classes but the goal's own with the largest logits, in falling order.

        (n, classes) logits -> (n, min(most, classes - 1)) int64.
        """
        others = logits.scatter(1, self.classes[:, None], -torch.inf)
        ranked = others.argsort(dim=1, descending=True, stable=True)  # the goal's own class comes last
        return ranked[:, : min(most, logits.shape[1] - 1)]

    def select(self, indices: Tensor) -> "Goal":
        """The goals of the images at `indices`, an (m,) int64 or (n,) bool tensor."""
        return Goal(classes=self.classes[indices], targeted=self.targeted)


def reached(margin: Tensor, confidence: float) -> Tensor:
    """(n,) margins -> (n,) bool: the goal is met (margin > 0) with at least the confidence asked for."""
    return (margin > 0) & (margin >= confidence)
