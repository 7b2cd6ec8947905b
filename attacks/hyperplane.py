"""The smallest L-infinity step from a point of the box [0, 1] onto a hyperplane that stays in the box.

Source: the box-constrained projection of Croce & Hein 2020, arXiv:1907.02044; a sort over the pixels solves it exactly.
"""

import torch
from torch import Tensor


def steps_onto(points: Tensor, normals: Tensor, gaps: Tensor) -> Tensor:
    """Solve min ||step||_inf with normal · step = gap and point + step in [0, 1], for every row.

    A step of length t moves every pixel by t, or up to the wall, in the direction that closes the gap. What is closed
    then, the sum of |normal| min(t, room) over the pixels, rises with t and has a kink wherever a pixel reaches its
    wall; between the right two kinks t follows from a division.

    Args:
        points: (m, pixels) float32 in [0, 1].
        normals: (m, pixels) float32.
        gaps: (m,) float32, of either sign: what normal · step is to be.

    Returns:
        (m, pixels) float32. Where the hyperplane misses the box, the step to the box's corner nearest to it; zero for
        pixels whose normal is zero.
    """
    direction = normals.sign() * gaps.sign()[:, None]
    room = torch.where(direction > 0, 1 - points, points)  # to the wall; of no weight where the direction is 0
    kinks, order = room.sort(dim=1)
    weights = normals.abs().gather(1, order).double()  # float32 sums over many pixels lose what the last few add
    to_close = gaps.abs().double()[:, None]

    moving = weights.flip(1).cumsum(1).flip(1)  # weight of this pixel and of those whose wall is farther
    by_walls = (weights * kinks).cumsum(1) - weights * kinks  # closed by the pixels that reached theirs before
    closed = by_walls + moving * kinks  # at a length of kinks
    beyond = (closed < to_close).sum(dim=1, keepdim=True).clamp(max=closed.shape[1] - 1)  # (m, 1) first kink not below
    slope = moving.gather(1, beyond).clamp(min=torch.finfo(torch.float64).tiny)  # a zero normal closes nothing
    length = ((to_close - by_walls.gather(1, beyond)) / slope).float().clamp(min=0)
    return direction * torch.minimum(length, room)
