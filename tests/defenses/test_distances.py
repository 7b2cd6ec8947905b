"""Distances by matrix products, against SciPy's, which subtracts, in float64."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Generator, Tensor

from defenses.detectors.distances import Points


def _random(count: int, dim: int, seed: int) -> Tensor:
    return torch.randn(count, dim, generator=Generator().manual_seed(seed))


def _by_subtraction(queries: Tensor, points: Tensor) -> np.ndarray:
    return cdist(queries.double().numpy(), points.double().numpy())


@pytest.mark.parametrize("offset", [0.0, 1e4])  # far from the origin the product cancels
@pytest.mark.parametrize("dim", [1, 10, 20_000])
def test_distances_equal_subtraction_to_ten_digits(dim: int, offset: float) -> None:
    queries, points = _random(20, dim, seed=0) + offset, _random(30, dim, seed=1) + offset
    np.testing.assert_allclose(Points(points).distances(queries), _by_subtraction(queries, points), rtol=1e-10)


@pytest.mark.parametrize("step", [1e-6, 1e-4, 1e-2, 1e-1])
def test_near_pairs_keep_their_digits(step: float) -> None:
    points = _random(30, 500, seed=0)
    queries = points[:20] + step * _random(20, 500, seed=1)
    np.testing.assert_allclose(Points(points).distances(queries), _by_subtraction(queries, points), rtol=1e-10)


def test_only_equal_points_are_at_distance_zero() -> None:
    points = _random(40, 300, seed=0)
    points[7] = 0  # a layer that gives nothing, too
    queries = points.clone()
    queries[20:, 150] = queries[20:, 150].nextafter(torch.tensor(torch.inf))  # the smallest change there is
    is_zero = Points(points).distances(queries) == 0
    assert torch.equal(is_zero, torch.diag(torch.arange(40) < 20))


def test_squares_are_the_squared_distances() -> None:
    queries, points = _random(20, 50, seed=0), _random(30, 50, seed=1)
    squares = Points(points).squares(queries.double())
    np.testing.assert_allclose(squares, _by_subtraction(queries, points) ** 2, rtol=1e-12)
    assert bool((Points(points).squares(points.double()) >= 0).all())
