"""Steps onto a hyperplane, compared with a linear program solved by SciPy.

It is min t, |step| <= t, in the box, on the plane. Some pixels lie on a wall already and some do not count (normal 0),
as in images and their gradients.
"""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Generator, Tensor

from attacks.hyperplane import steps_onto

UNREACHABLE = 2  # SciPy's status of a program without a solution


def _problem(pixels: int, rows: int, scale: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = Generator().manual_seed(seed)
    points = torch.rand(rows, pixels, generator=generator)
    points = torch.where(torch.rand(rows, pixels, generator=generator) < 0.3, points.round(), points)
    normals = torch.randn(rows, pixels, generator=generator)
    normals *= torch.rand(rows, pixels, generator=generator) > 0.2
    return points, normals, scale * torch.randn(rows, generator=generator)


def _length_by_linear_program(point: Tensor, normal: Tensor, gap: float) -> float | None:
    """The least L-infinity length; None where the hyperplane misses the box."""
    pixels = len(point)
    within_t = np.vstack([np.c_[sign * np.eye(pixels), -np.ones(pixels)] for sign in (1, -1)])
    solution = linprog(
        c=np.r_[np.zeros(pixels), 1],
        A_ub=within_t,
        b_ub=np.zeros(2 * pixels),
        A_eq=np.r_[normal.numpy(), 0][None],
        b_eq=[gap],
        bounds=[*((-value, 1 - value) for value in point.tolist()), (0, None)],
    )
    assert solution.status in {0, UNREACHABLE}
    return None if solution.status == UNREACHABLE else float(solution.fun)


@pytest.mark.parametrize(("pixels", "scale"), [(1, 0.3), (4, 0.5), (20, 6.0)])
def test_steps_are_as_short_as_the_linear_program_s(pixels: int, scale: float) -> None:
    points, normals, gaps = _problem(pixels, 30, scale, seed=pixels)
    steps = steps_onto(points, normals, gaps)
    moved = points + steps
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    assert bool((steps[normals == 0] == 0).all())
    lengths = [_length_by_linear_program(*row) for row in zip(points, normals, gaps.tolist(), strict=True)]
    reachable = torch.tensor([length is not None for length in lengths])
    expected = torch.tensor([length for length in lengths if length is not None])
    assert int(reachable.sum()) >= 10
    assert int((~reachable).sum()) >= 1  # of both kinds there are some
    assert torch.allclose(steps[reachable].abs().amax(dim=1), expected, atol=1e-6)
    assert torch.allclose((normals * steps).sum(dim=1)[reachable], gaps[reachable], atol=1e-5)


def test_a_plane_beyond_the_box_is_approached_up_to_the_corner() -> None:
    points = torch.tensor([[0.2, 0.9, 0.5], [0.2, 0.9, 0.5]])
    normals = torch.tensor([[1.0, -2.0, 0.0], [1.0, -2.0, 0.0]])
    steps = steps_onto(points, normals, torch.tensor([100.0, -100.0]))
    assert torch.allclose(points + steps, torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]))


def test_by_hand() -> None:
    # Both pixels rise by t until the first stands at 1 (t = 0.1, closing 0.3 of the gap 0.5); the second closes the
    # remaining 0.2 at slope 1, so t = 0.3.
    steps = steps_onto(torch.tensor([[0.9, 0.2]]), torch.tensor([[2.0, 1.0]]), torch.tensor([0.5]))
    assert torch.allclose(steps, torch.tensor([[0.1, 0.3]]))


def test_no_normal_and_no_gap_mean_no_step() -> None:
    points, normals, _ = _problem(6, 3, 1.0, seed=1)
    assert torch.equal(steps_onto(points, torch.zeros_like(normals), torch.ones(3)), torch.zeros(3, 6))
    assert torch.equal(steps_onto(points, torch.zeros_like(normals), torch.zeros(3)), torch.zeros(3, 6))
    assert torch.equal(steps_onto(points, normals, torch.zeros(3)).abs(), torch.zeros(3, 6))


def test_rows_do_not_touch_each_other() -> None:
    points, normals, gaps = _problem(12, 9, 1.0, seed=2)
    together = steps_onto(points, normals, gaps)
    alone = [steps_onto(points[row : row + 1], normals[row : row + 1], gaps[row : row + 1]) for row in range(9)]
    assert torch.equal(together, torch.cat(alone))
