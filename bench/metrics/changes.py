"""Whether two measurements of one thing differ beyond chance.

Sources: McNemar 1947, "Note on the sampling error of the difference between correlated proportions" (exact: binomial);
Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10; Holm 1979,
"A simple sequentially rejective multiple test procedure"; Efron and Tibshirani 1993, chapter 6 (bootstrap).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from bench.metrics.rates import Z_95, Rate

Floats = NDArray[np.float64]
Cases = tuple[Floats, NDArray[np.intp]]  # values, and the image of each, both (cases,)
Statistic = Callable[[Floats], Floats]  # weights (draws, images) -> the statistic of each draw (draws,)

FARTHEST_Z = 40.0  # beyond it a p-value is below 1e-300
DRAWS = 2000


def mcnemar(lost: int, won: int) -> float:
    """Two-sided exact p-value of paired outcomes.

    Args:
        lost: pairs that were a success before and are none now.
        won: pairs that were none before and are one now.
    """
    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def newcombe(before: Rate, after: Rate, z: float = Z_95) -> tuple[float, float]:
    """Interval of after minus before, two independent shares, from the Wilson interval of each.

    Args:
        before: the first share, n above 0.
        after: the second, likewise.
        z: the standard normal's quantile; the default gives 95 %.
    """
    old, (old_low, old_high) = _wilson(before, z)
    new, (new_low, new_high) = _wilson(after, z)
    down = math.hypot(new - new_low, old_high - old)
    up = math.hypot(new_high - new, old - old_low)
    return new - old - down, new - old + up


def newcombe_p(before: Rate, after: Rate) -> float:
    """Two-sided p-value that belongs to `newcombe`: the level at which its interval begins to hold zero."""

    def nearest_end(z: float) -> float:
        low, high = newcombe(before, after, z)
        return low if difference > 0 else -high

    difference = after.successes / after.n - before.successes / before.n
    if difference == 0:
        return 1.0
    if nearest_end(FARTHEST_Z) > 0:
        return 0.0
    return float(2 * norm.sf(brentq(nearest_end, 0, FARTHEST_Z)))


def _wilson(rate: Rate, z: float) -> tuple[float, tuple[float, float]]:
    share, n = rate.successes / rate.n, rate.n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return share, (min(share, center - half), max(share, center + half))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: those below a level may be rejected together at that family-wise level."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def bootstrap_p(difference: float, before: Statistic, after: Statistic, images: int) -> float:
    """Two-sided p-value of a difference, by its standard error over images drawn anew.

    One draw weighs the images of both measurements alike, so that images they share are paired and others are not.

    Args:
        difference: the statistic after minus that before.
        before: the first statistic for given weights.
        after: the second, likewise.
        images: how many images both have together.
    """
    weights = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), size=DRAWS).astype(np.float64)
    differences = after(weights) - before(weights)
    error = float(np.nanstd(differences, ddof=1))  # a draw without any adversarial image has no AUROC
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * norm.sf(abs(difference) / error))


def weighted_auroc(weights: Floats, negative: Cases, positive: Cases) -> Floats:
    """Area under the ROC curve where every case weighs what its image weighs.

    Args:
        weights: (draws, images).
        negative: scores (cases,) and the image of each (cases,).
        positive: likewise; they should score higher.
    """
    (low, low_image), (high, high_image) = negative, positive
    ahead = (high[:, None] > low) + 0.5 * (high[:, None] == low)  # (positives, negatives)
    heavy, light = weights[:, high_image], weights[:, low_image]
    with np.errstate(invalid="ignore"):
        return np.asarray(((heavy @ ahead) * light).sum(axis=1) / (heavy.sum(axis=1) * light.sum(axis=1)))


def weighted_aupr(weights: Floats, negative: Cases, positive: Cases) -> Floats:
    """Average precision, scikit-learn's sum over thresholds, with weights as in `weighted_auroc`."""
    scores = np.r_[negative[0], positive[0]]
    order = np.argsort(-scores, kind="stable")
    heavy = weights[:, np.r_[negative[1], positive[1]]][:, order]  # (draws, cases), best score first
    is_positive = (np.arange(len(scores)) >= len(negative[0]))[order]
    is_threshold = np.r_[np.diff(scores[order]) != 0, True]  # cases of one score pass together
    caught = np.cumsum(heavy * is_positive, axis=1)[:, is_threshold]
    flagged = np.cumsum(heavy, axis=1)[:, is_threshold]
    with np.errstate(invalid="ignore"):
        precision = np.where(flagged > 0, caught / flagged, 0.0)
        recall = caught / caught[:, -1:]
    return np.asarray((np.diff(recall, axis=1, prepend=0.0) * precision).sum(axis=1))


def weighted_median(weights: Floats, values: Cases) -> Floats:
    """The lower median with weights as in `weighted_auroc`; NaN where all weights are zero."""
    numbers, image = values
    order = np.argsort(numbers)
    heavy = np.cumsum(weights[:, image][:, order], axis=1)
    middle = (heavy >= heavy[:, -1:] / 2).argmax(axis=1)
    return np.where(heavy[:, -1] > 0, numbers[order][middle], np.nan)
