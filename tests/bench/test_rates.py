"""Wilson's interval, against published values and its defining equation.

Published: Newcombe 1998, Statistics in Medicine 17, Table I, method 3 (its four examples);
0 of 10 is in every textbook.
"""

import pytest

from bench.metrics.rates import rate


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 10, 0, 0.2775),
    ],
)
def test_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    interval = rate(successes, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    assert interval.value == successes / n
    assert (interval.successes, interval.n) == (successes, n)


def test_both_ends_solve_the_score_equation() -> None:
    # Wilson 1927: the ends are the roots p of (share - p)^2 = z^2 p (1 - p) / n, z the normal's 97.5 % quantile
    for n in (1, 2, 7, 100):
        for successes in range(n + 1):
            interval = rate(successes, n)
            assert interval.low <= interval.value <= interval.high
            for end in (interval.low, interval.high):
                assert (successes / n - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / n, abs=1e-6)


def test_misses_mirror_successes_and_stay_in_bounds() -> None:
    for successes in range(14):
        interval, mirrored = rate(successes, 13), rate(13 - successes, 13)
        assert interval.low == pytest.approx(1 - mirrored.high)
        assert 0 <= interval.low < interval.high <= 1
    assert rate(0, 13).low == 0
    assert rate(13, 13).high == 1


def test_no_cases_have_no_share() -> None:
    empty = rate(0, 0)
    assert (empty.n, empty.value, empty.low, empty.high) == (0, None, None, None)
