"""One number from repetitions of a run with other seeds, with an interval that covers both kinds of chance.

Sources: Student 1908 (the mean of few repetitions); Wilson 1927 (`bench.metrics.rates`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.metrics.rates import Rate, rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over seeds.

    value: the mean of the seeds' values; low, high: ends of its 95 % interval; all None where no seed has a value.
    n: cases behind it, of all seeds together; 0 for numbers that are no shares.
    seeds: repetitions that have a value.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    seeds: int

    def lies_above(self, other: "Estimate") -> bool:
        """Whether it is the larger one beyond both intervals."""
        return self.low is not None and other.high is not None and self.low > other.high


NOTHING = Estimate(value=None, low=None, high=None, n=0, seeds=0)


def estimate_rate(rates: Sequence[Rate | None]) -> Estimate:
    """The mean of a share over seeds.

    One seed has its Wilson interval. Several have Student's interval of their mean, in [0, 1], but never a narrower
    one than Wilson's of all cases counted together: three seeds that all say 100 % prove no more than their cases.

    Args:
        rates: one a seed; those without cases, and None, are left out.
    """
    known = [each for each in rates if each is not None and each.value is not None]
    if not known:
        return NOTHING
    pooled = rate(sum(each.successes for each in known), sum(each.n for each in known))
    assert pooled.low is not None
    assert pooled.high is not None
    values = [float(each.value) for each in known if each.value is not None]
    mean = sum(values) / len(values)
    half = _half_width(values)
    return Estimate(
        value=mean,
        low=max(0.0, min(pooled.low, mean - half)),
        high=min(1.0, max(pooled.high, mean + half)),
        n=pooled.n,
        seeds=len(known),
    )


def estimate_mean(values: Sequence[float | None], *, lowest: float = -math.inf, highest: float = math.inf) -> Estimate:
    """The mean of any other number over seeds, with Student's interval; none for a single seed.

    Args:
        values: one a seed; None is left out.
        lowest: the least that the number can be, which also bounds its interval.
        highest: the most that it can be.
    """
    known = [value for value in values if value is not None]
    if not known:
        return NOTHING
    mean, half = sum(known) / len(known), _half_width(known)
    is_single = len(known) == 1
    return Estimate(
        value=mean,
        low=None if is_single else max(lowest, mean - half),
        high=None if is_single else min(highest, mean + half),
        n=0,
        seeds=len(known),
    )


def _half_width(values: Sequence[float]) -> float:
    """Half of Student's 95 % interval of the mean; 0 for a single value."""
    from scipy.stats import t  # late: records are listed without it

    count = len(values)
    if count == 1:
        return 0.0
    mean = sum(values) / count
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    return float(t.ppf(0.975, count - 1)) * deviation / math.sqrt(count)
