"""The squared MMD, against its definition in loops and its closed form between Gaussians."""

import math

import numpy as np
import pytest
import torch

from bench.metrics.two_sample import squared_mmd


def normal(n: int, dim: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)) + shift


def test_against_the_sums_of_the_definition() -> None:
    # Gretton et al. 2012, lemma 6: within-sample sums leave out the pairs of a point with itself
    x, y = normal(7, 3, 0, shift=0.5).double().numpy(), normal(6, 3, 1).double().numpy()
    distances = sorted(float(np.linalg.norm(y[i] - y[j])) for i in range(6) for j in range(i))
    width = distances[7]  # the middle one of 15

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return math.exp(-float(((a - b) ** 2).sum()) / (2 * width**2))

    within_x = sum(kernel(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    within_y = sum(kernel(y[i], y[j]) for i in range(6) for j in range(6) if i != j) / (6 * 5)
    between = sum(kernel(a, b) for a in x for b in y) / 42
    value = squared_mmd(torch.from_numpy(x), torch.from_numpy(y))
    assert value == pytest.approx(within_x + within_y - 2 * between, abs=1e-9)


def test_zero_in_expectation_for_one_distribution() -> None:
    values = [squared_mmd(normal(30, 2, seed), normal(30, 2, 1000 + seed)) for seed in range(200)]
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0  # unbiased: it falls on both sides


def test_between_two_gaussians() -> None:
    # with kernel width w, E k(x, y) = w / sqrt(w^2 + 2) exp(-d^2 / (2 (w^2 + 2))) for x - y ~ N(d, 2)
    shift, excess = 1.5, []
    for seed in range(30):
        other = normal(300, 1, 100 + seed)
        width = float(np.median(np.abs(other.numpy() - other.numpy().T)[np.triu_indices(300, 1)]))
        expected = 2 * width / math.sqrt(width**2 + 2) * (1 - math.exp(-(shift**2) / (2 * (width**2 + 2))))
        excess.append(squared_mmd(normal(300, 1, seed, shift=shift), other) - expected)
    assert abs(np.mean(excess)) < 4 * np.std(excess) / math.sqrt(30)
    assert abs(np.mean(excess)) < 0.03  # of about 0.36


def test_a_point_mass_far_away() -> None:
    # within the mass every kernel value is 1, between the samples 0: what remains is 1 + E k within the reference
    reference = normal(20, 2, 5)
    squares = torch.cdist(reference, reference).square()
    width = torch.pdist(reference).median()
    within = (torch.exp(-squares / (2 * width**2)).sum() - 20) / (20 * 19)
    assert squared_mmd(torch.full((10, 2), 1e4), reference) == pytest.approx(1 + float(within), abs=1e-5)
