"""A share or a number over seeds, against Wilson's interval written out here and scipy's own Student interval."""

import math

import pytest
from scipy.stats import norm, t

from bench.metrics.over_seeds import NOTHING, estimate_mean, estimate_rate
from bench.metrics.rates import Rate, rate


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval, as its inventor solves the quadratic, not as `bench.metrics.rates` writes it."""
    z = norm.ppf(0.975)
    a, b, c = n + z**2, -(2 * successes + z**2), successes**2 / n
    root = math.sqrt(b**2 - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def student(values: list[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean, by scipy from its own mean and standard error."""
    mean = math.fsum(values) / len(values)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    low, high = t.interval(0.95, df=len(values) - 1, loc=mean, scale=error)
    return float(low), float(high)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (63, 100), (200, 200)])
def test_one_seed_has_its_wilson_interval(successes: int, n: int) -> None:
    found = estimate_rate([rate(successes, n)])
    assert found.value == successes / n
    assert (found.low, found.high) == pytest.approx(wilson(successes, n), abs=1e-12)
    assert (found.n, found.seeds) == (n, 1)


def test_three_seeds_that_differ_have_students_interval() -> None:
    found = estimate_rate([rate(300, 1000), rate(500, 1000), rate(640, 1000)])
    assert found.value == pytest.approx(0.48)
    low, high = student([0.3, 0.5, 0.64])
    assert (low, high) == pytest.approx((0.0555, 0.9045), abs=1e-4)  # wider than the cases' own, within [0, 1]
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert (found.n, found.seeds) == (3000, 3)


def test_the_interval_stays_within_shares() -> None:
    found = estimate_rate([rate(1, 100), rate(50, 100), rate(99, 100)])
    low, high = student([0.01, 0.5, 0.99])
    assert low < 0
    assert high > 1
    assert (found.low, found.high) == (0.0, 1.0)


def test_three_seeds_that_agree_prove_no_more_than_their_cases() -> None:
    found = estimate_rate([rate(10, 10)] * 3)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(wilson(30, 30)[0], abs=1e-12)
    near = estimate_rate([rate(50, 100), rate(50, 100), rate(51, 100)])
    low, high = wilson(151, 300)
    assert student([0.5, 0.5, 0.51])[0] > low  # Student's alone would be narrower
    assert (near.low, near.high) == pytest.approx((low, high), abs=1e-12)


def test_seeds_without_a_share_are_left_out() -> None:
    assert estimate_rate([None, rate(3, 4), rate(0, 0)]) == estimate_rate([rate(3, 4)])
    no_cases: list[Rate | None] = [None, rate(0, 0)]
    assert estimate_rate(no_cases) == estimate_rate([]) == NOTHING
    assert (NOTHING.value, NOTHING.low, NOTHING.high, NOTHING.n, NOTHING.seeds) == (None, None, None, 0, 0)


def test_other_numbers_over_seeds() -> None:
    found = estimate_mean([2.5, None, -1.0, 4.0])
    assert found.value == pytest.approx(5.5 / 3)
    assert (found.low, found.high) == pytest.approx(student([2.5, -1.0, 4.0]), abs=1e-12)
    assert found.low < 0  # no shares: nothing is clipped
    assert found.high > 1
    assert (found.n, found.seeds) == (0, 3)


def test_a_number_with_ends_has_an_interval_within_them() -> None:
    values = [0.7, 0.9, 1.0]
    low, high = student(values)
    assert low > 0.4
    assert high > 1
    found = estimate_mean(values, lowest=0, highest=1)
    assert (found.value, found.low, found.high) == pytest.approx((2.6 / 3, low, 1.0), abs=1e-12)
    falling = estimate_mean([1 - value for value in values], lowest=0, highest=1)
    assert (falling.low, falling.high) == pytest.approx((0.0, 1 - low), abs=1e-12)


def test_a_single_number_has_no_interval() -> None:
    found = estimate_mean([0.86, None])
    assert (found.value, found.low, found.high, found.seeds) == (0.86, None, None, 1)
    assert estimate_mean([None]) == NOTHING


def test_an_interval_ends_where_the_number_does() -> None:
    estimate = estimate_mean([0.6, 0.9], lowest=0.0, highest=1.0)  # Student's would be 0.75 -+ 12.7 * 0.15
    assert (estimate.low, estimate.high) == (0.0, 1.0)
