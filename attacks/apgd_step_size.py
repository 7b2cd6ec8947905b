"""APGD's step size: each image's own, halved at checkpoints where its loss has stopped rising.

Source: Croce & Hein 2020, arXiv:2003.01690, section 3.1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_RISING = 0.75  # rho: the share of steps that must raise the loss
FIRST, SHRINK, SHORTEST = 22, 3, 6  # percent of the steps: first window, how much windows shrink, the shortest


def checkpoints(steps: int) -> tuple[int, ...]:
    """After which steps the step size is reconsidered.

    At ceil(p_j steps), with p_0 = 0, p_1 = 0.22 and p_(j+1) = p_j + max(p_j - p_(j-1) - 0.03, 0.06), up to 1. The
    percentages are whole numbers here, since sums of floats would move a checkpoint by one.
    """
    percents = [0, FIRST]
    while percents[-1] <= 100:
        percents.append(percents[-1] + max(percents[-1] - percents[-2] - SHRINK, SHORTEST))
    return tuple(sorted({-(-percent * steps // 100) for percent in percents[:-1]}))


@dataclass(slots=True)
class StepSize:
    """The step sizes of m images, and what the losses since the last checkpoint say about them.

    value: (m,) float32 in pixel units (eta in the paper).
    best: (m,) float32, the largest loss so far; last: (m,) float32, the latest.
    rises: (m,) float32, steps that raised the loss; gained: (m,) bool, `best` rose; both since the last checkpoint.
    halved: (m,) bool, at the last checkpoint.
    checked: step of the last checkpoint.
    """

    value: Tensor
    best: Tensor
    last: Tensor
    rises: Tensor
    gained: Tensor
    halved: Tensor
    checked: int = 0

    @classmethod
    def of(cls, value: Tensor) -> "StepSize":
        """Start with the (m,) step sizes `value`; no loss was seen yet."""
        nothing = torch.zeros_like(value)
        no = torch.zeros_like(value, dtype=torch.bool)
        return cls(value, nothing - torch.inf, nothing + torch.inf, nothing, no, no)

    def see(self, loss: Tensor) -> Tensor:
        """Take note of the (m,) losses of one step; returns (m,) bool, where they are the best so far."""
        improved = loss > self.best
        self.rises = self.rises + (loss > self.last)
        self.best = torch.where(improved, loss, self.best)
        self.gained = self.gained | improved
        self.last = loss
        return improved

    def check(self, step: int) -> Tensor:
        """Halve at a checkpoint, once the loss of that step was seen; returns (m,) bool, where.

        Halved where too few steps raised the loss (condition 1), or where the step size was kept at the last
        checkpoint and the best loss has not risen since (condition 2).
        """
        halved = (self.rises < LEAST_RISING * (step - self.checked)) | ~(self.halved | self.gained)
        self.value = torch.where(halved, self.value / 2, self.value)
        self.rises = torch.zeros_like(self.rises)
        self.gained = torch.zeros_like(self.gained)
        self.halved = halved
        self.checked = step
        return halved

    def select(self, indices: Tensor) -> "StepSize":
        """Those of the images at `indices`, an (m,) int64 or bool tensor."""
        return StepSize(
            value=self.value[indices],
            best=self.best[indices],
            last=self.last[indices],
            rises=self.rises[indices],
            gained=self.gained[indices],
            halved=self.halved[indices],
            checked=self.checked,
        )
