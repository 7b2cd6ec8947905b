"""Is a loss surface smooth, and does its gradient say where the loss rises? Numbers for what a picture only suggests.

Source: ours. Supplement E concludes "both methods have smooth loss surfaces" by eye; masked gradients show in a loss
that rises farther in a random direction than along the gradient's own sign (Athalye et al. 2018, arXiv:1802.00420).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceShape:
    """Losses in nats, places in pixel units.

    center: the loss at the image; end: at the farthest step along the gradient's sign and none across.
    corner: at the farthest step both ways; largest: over the grid, at (largest_along, largest_across).
    span: largest less smallest.
    roughness, sharpest_bend: mean and largest |z(i-1) - 2 z(i) + z(i+1)| of neighbors along both axes, as shares of
        the span; 0 for a plane, 0.3 and more for noise. None for a flat surface.
    above_linear: share of grid points whose loss lies above the linear extrapolation from the center.
    rise_along, rise_across: how far the loss rises above the center at the gradient's sign times positive steps, and
        across at steps either way.
    """

    center: float
    end: float
    corner: float
    largest: float
    largest_along: float
    largest_across: float
    span: float
    roughness: float | None
    sharpest_bend: float | None
    above_linear: float
    rise_along: float
    rise_across: float

    @property
    def rise_ratio(self) -> float | None:
        """`rise_across` over `rise_along`: above 1 the gradient does not show the way; None where neither rises."""
        return self.rise_across / self.rise_along if self.rise_along > 0 else None


def shape_of(surface: Tensor, steps: Tensor, center: float, slope_along: float, slope_across: float) -> SurfaceShape:
    """Measure a surface.

    Args:
        surface: (grid, grid), first along the gradient's sign, then across.
        steps: (grid,) in pixel units, rising, symmetric.
        center: the loss at the image.
        slope_along: derivative of the loss there along the gradient's sign, nats a pixel unit.
        slope_across: across.
    """
    surface, steps = surface.to(torch.float64), steps.to(torch.float64)
    middle = int(steps.abs().argmin())  # the grid's line nearest to 0
    bends = torch.cat([torch.diff(surface, n=2, dim=axis).abs().flatten() for axis in (0, 1)])
    span = float(surface.max() - surface.min())
    linear = center + slope_along * steps[:, None] + slope_across * steps[None, :]
    place = int(surface.argmax())
    return SurfaceShape(
        center=center,
        end=float(surface[-1, middle]),
        corner=float(surface[-1, -1]),
        largest=float(surface.max()),
        largest_along=float(steps[place // len(steps)]),
        largest_across=float(steps[place % len(steps)]),
        span=span,
        roughness=float(bends.mean()) / span if span > 0 else None,
        sharpest_bend=float(bends.max()) / span if span > 0 else None,
        above_linear=float((surface > linear).double().mean()),
        rise_along=max(0.0, float(surface[middle:, middle].max()) - center),
        rise_across=max(0.0, float(surface[middle].max()) - center),
    )
