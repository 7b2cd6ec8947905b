"""Tests of change, against closed forms, published intervals, scikit-learn, and the textbook standard error.

Published: Newcombe 1998, Statistics in Medicine 17, 873-890, Table II, method 10 (its eight contrasts).
"""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.metrics.changes import (
    bootstrap_p,
    holm,
    mcnemar,
    newcombe,
    newcombe_p,
    weighted_aupr,
    weighted_auroc,
    weighted_median,
)
from bench.metrics.rates import rate


@pytest.mark.parametrize(
    ("lost", "won", "tail"),
    [(0, 5, 1), (5, 0, 1), (1, 9, 1 + 10), (2, 8, 1 + 10 + 45), (0, 14, 1)],
)
def test_mcnemar_is_a_fair_coin(lost: int, won: int, tail: int) -> None:
    # twice the outcomes at least as one-sided, of 2^n equally likely ones
    assert mcnemar(lost, won) == pytest.approx(2 * tail / 2 ** (lost + won), rel=1e-12)


def test_mcnemar_without_a_difference() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(4, 4) == 1.0


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_published_differences(first: tuple[int, int], second: tuple[int, int], low: float, high: float) -> None:
    found = newcombe(rate(*second), rate(*first))
    assert [round(end, 4) for end in found] == [low, high]
    mirrored = newcombe(rate(*first), rate(*second))
    assert [round(-end, 4) for end in mirrored] == [high, low]


@pytest.mark.parametrize(("first", "second"), [((56, 70), (48, 80)), ((5, 56), (0, 29)), ((90, 100), (2, 100))])
def test_the_p_value_is_the_level_at_which_the_interval_meets_zero(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    before, after = rate(*first), rate(*second)
    p = newcombe_p(before, after)
    assert 0 < p < 1
    _, high = newcombe(before, after, z=norm.isf(p / 2))  # a fall: the upper end is the one that meets zero
    assert high == pytest.approx(0, abs=1e-9)
    assert newcombe_p(after, before) == pytest.approx(p, rel=1e-9)
    low, high = newcombe(before, after)
    assert (p < 0.05) == (not low < 0 < high)


def test_no_difference_of_shares_has_p_one() -> None:
    assert newcombe_p(rate(3, 10), rate(30, 100)) == 1.0


def test_holm_by_hand() -> None:
    # sorted: .005 x 4, .01 x 3, .03 x 2, then .04 x 1, which may not fall below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_weighted_rankings_are_scikit_learns() -> None:
    random = np.random.default_rng(3)
    low, high = random.integers(0, 12, 40).astype(float), random.integers(4, 16, 25).astype(float)  # with ties
    low_image, high_image = random.integers(0, 30, 40), random.integers(0, 30, 25)
    weights = random.integers(0, 4, (6, 30)).astype(float)
    negative, positive = (low, low_image), (high, high_image)
    labels, scores = np.r_[np.zeros(40), np.ones(25)], np.r_[low, high]
    cases = weights[:, np.r_[low_image, high_image]]
    for found, oracle in (
        (weighted_auroc(weights, negative, positive), roc_auc_score),
        (weighted_aupr(weights, negative, positive), average_precision_score),
    ):
        expected = [oracle(labels, scores, sample_weight=row) for row in cases]
        assert found == pytest.approx(expected, rel=1e-12)


def test_a_weighted_median_is_that_of_repeated_values() -> None:
    values, image = np.array([5.0, 1.0, 9.0, 3.0]), np.arange(4)
    weights = np.array([[1, 1, 1, 0], [0, 0, 5, 1], [2, 3, 0, 0], [0, 0, 0, 0]], dtype=float)
    expected = [np.quantile(np.repeat(values, row.astype(int)), 0.5, method="lower") for row in weights[:3]]
    found = weighted_median(weights, (values, image))
    assert found[:3].tolist() == expected
    assert math.isnan(found[3])


def test_the_bootstrap_has_the_standard_error_of_a_paired_mean() -> None:
    random = np.random.default_rng(1)
    before = random.normal(size=200)
    after = before + 0.05 + random.normal(scale=0.3, size=200)
    gap = after - before

    def mean(values: np.ndarray) -> object:
        return lambda weights: weights @ values / weights.sum(axis=1)

    z = norm.isf(bootstrap_p(gap.mean(), mean(before), mean(after), 200) / 2)
    assert z == pytest.approx(abs(gap.mean()) / (gap.std(ddof=1) / math.sqrt(200)), rel=0.06)  # 2,000 draws: 1.6 %
    # without the pairing the error would be that of two independent samples, and z far smaller
    assert z > 2 * abs(gap.mean()) / math.hypot(before.std(), after.std()) * math.sqrt(200)


def test_the_bootstrap_of_constants() -> None:
    one, two = (lambda weights, value=value: np.full(len(weights), value) for value in (1.0, 2.0))
    assert bootstrap_p(0.0, one, one, 10) == 1.0
    assert bootstrap_p(1.0, one, two, 10) == 0.0
