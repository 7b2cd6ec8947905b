"""A plane through an image, and the tiles in which a grid on it is worked through."""

from dataclasses import dataclass

import torch
from torch import Tensor

TILE = 13  # points a side: within it few units of a first layer switch, and its activations fit a core's caches


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """All x + a along + b across.

    image: x, (c, h, w) float32 in [0, 1]; label: its true class.
    along: (c, h, w) sign of the loss gradient at x, -1, 0 or 1; across: (c, h, w) random signs, -1 or 1.
    center: the loss at x in nats; slope_along, slope_across: its derivatives there, nats a pixel unit.
    """

    image: Tensor
    label: int
    along: Tensor
    across: Tensor
    center: float
    slope_along: float
    slope_across: float

    def inputs(self, along: Tensor, across: Tensor) -> Tensor:
        """The points at (m,) steps each way in pixel units: (m, c, h, w) float32, beyond [0, 1] too."""
        a, b = (steps.to(self.image.device).view(-1, 1, 1, 1) for steps in (along, across))
        return self.image + a * self.along + b * self.across


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Part of a grid. rows, columns: places in it; along: (rows,), across: (columns,) steps there."""

    rows: slice
    columns: slice
    along: Tensor
    across: Tensor

    def points(self) -> tuple[Tensor, Tensor]:
        """Steps of all its points, row by row: (rows * columns,) along and across."""
        return self.along.repeat_interleave(len(self.across)), self.across.repeat(len(self.along))


def tiles_of(steps: Tensor) -> list[Tile]:
    """The grid of (grid,) steps each way in tiles of much the same size, `TILE` at most."""
    parts = torch.arange(len(steps)).tensor_split(-(-len(steps) // TILE))
    slices = [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
    return [
        Tile(rows=rows, columns=columns, along=steps[rows], across=steps[columns])
        for rows in slices
        for columns in slices
    ]
