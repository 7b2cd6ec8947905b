"""A share of a number of cases, never without its n and its interval.

Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
"""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054  # the standard normal's 97.5 % quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share.

    successes, n: the counts behind it.
    value: successes / n in [0, 1]; None when n is 0.
    low, high: ends of the Wilson 95 % interval; None when n is 0.
    """

    successes: int
    n: int
    value: float | None
    low: float | None
    high: float | None


def rate(successes: int, n: int) -> Rate:
    """The share of `successes` among `n` cases, with its Wilson 95 % interval."""
    if n == 0:
        return Rate(successes=0, n=0, value=None, low=None, high=None)
    share = successes / n
    shrink = 1 + Z_95**2 / n
    center = (share + Z_95**2 / (2 * n)) / shrink
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n)) / shrink
    # at the ends rounding would leave an interval that misses the share itself by 1e-17
    low, high = min(share, max(0.0, center - half)), max(share, min(1.0, center + half))
    return Rate(successes=successes, n=n, value=share, low=low, high=high)
