"""Kernel densities and the choice of a bandwidth, against scikit-learn's KernelDensity.

Its trees lose far queries to rounding (by thousands of nats at 200 axes), so all points are put into one leaf, where
it sums the kernels themselves.
"""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity
from torch import Generator, Tensor

from attacks.errors import RequestError
from defenses.detectors.class_density import (
    ClassDensity,
    choose_bandwidth,
    gaussian_log_density,
    log_densities,
    require_enough,
)


def _points(count: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(count, dim, generator=Generator().manual_seed(seed), dtype=torch.float64)


def _sklearn(queries: Tensor, points: Tensor, bandwidth: float) -> np.ndarray:
    return KernelDensity(bandwidth=bandwidth, leaf_size=len(points)).fit(points.numpy()).score_samples(queries.numpy())


@pytest.mark.parametrize("bandwidth", [0.1, 1.2, 10.0])
@pytest.mark.parametrize("dim", [1, 4, 50, 200])
def test_log_density_equals_scikit_learns(dim: int, bandwidth: float) -> None:
    points = _points(150, dim)
    queries = torch.cat([_points(30, dim, seed=1), points[:5], 1000 * _points(3, dim, seed=2)])  # far ones too
    density = gaussian_log_density(queries, points, bandwidth).numpy()
    assert np.isfinite(density).all()  # a density of exp(-1e8) has a logarithm
    np.testing.assert_allclose(density, _sklearn(queries, points, bandwidth), rtol=1e-9, atol=1e-6)


def test_points_far_from_the_origin_keep_their_digits() -> None:
    points, queries = _points(50, 3) + 1e4, _points(10, 3, seed=1) + 1e4
    pairs = queries.numpy()[:, None] - points.numpy()[None]  # by subtraction, not by expanding the square
    kernels = -(pairs**2).sum(axis=2) / (2 * 0.1**2) - 3 * math.log(0.1 * math.sqrt(2 * math.pi))
    expected = logsumexp(kernels, axis=1) - math.log(50)
    np.testing.assert_allclose(gaussian_log_density(queries, points, 0.1).numpy(), expected, atol=1e-6)


def test_many_queries_and_bandwidths_at_once() -> None:
    points, queries = _points(40, 2), _points(2100, 2, seed=1)  # more than two blocks
    several = log_densities(queries.float(), points, [0.3, 2.0])
    assert several.shape == (2, 2100)
    for row, bandwidth in zip(several.numpy(), (0.3, 2.0), strict=True):
        np.testing.assert_allclose(row, _sklearn(queries.float().double(), points, bandwidth), atol=1e-6)


def test_each_query_is_asked_of_its_own_class() -> None:
    points, labels = _points(90, 3), torch.arange(90) % 3
    queries, classes = _points(20, 3, seed=1), torch.tensor([2, 0, 1, 3] * 5)
    density = ClassDensity(points=points, labels=labels, bandwidth=0.7).log_density(queries, classes).numpy()
    for label in range(3):
        expected = _sklearn(queries[classes == label], points[labels == label], 0.7)
        np.testing.assert_allclose(density[classes.numpy() == label], expected, atol=1e-6)
    assert np.isneginf(density[classes.numpy() == 3]).all()  # no points, no density


def test_the_bandwidth_is_the_one_that_scikit_learn_finds_best() -> None:
    labels = torch.tensor([0] * 60 + [1] * 37)
    points = torch.cat([_points(60, 2), 5 + 0.2 * _points(37, 2, seed=1)])
    grid = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
    generator, total = Generator().manual_seed(3), np.zeros(len(grid))
    for label, held_out in ((0, 12), (1, 7)):  # a fifth of each class
        own = points[labels == label]
        own = own[torch.randperm(len(own), generator=generator)]
        total += [_sklearn(own[:held_out], own[held_out:], bandwidth).mean() for bandwidth in grid]
    assert choose_bandwidth(points, labels, grid, Generator().manual_seed(3)) == grid[int(total.argmax())]


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_the_bandwidth_follows_the_spread_of_the_data(spread: float) -> None:
    # Silverman's rule for a Gaussian axis: 1.06 * standard deviation * n^(-1/5)
    grid = [spread * factor for factor in np.geomspace(0.01, 100, 41)]
    chosen = choose_bandwidth(spread * _points(500, 1), torch.zeros(500, dtype=torch.int64), grid, Generator())
    assert 0.5 < chosen / (1.06 * spread * 400**-0.2) < 2


def test_too_few_points_of_a_class_are_refused_with_its_name() -> None:
    labels = torch.tensor([0] * 9 + [1] * 4 + [2] * 5)
    for check in (require_enough, lambda found: choose_bandwidth(_points(len(found), 2), found, [1.0], Generator())):
        with pytest.raises(RequestError, match=r"class 1 has 4 training images.*--n-train"):
            check(labels)
        labels_enough = torch.cat([labels, torch.tensor([1])])
        check(labels_enough)
