"""The interval of an AUROC, from its value and how many cases were ranked.

Source: Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2",
Statistics in Medicine 25, method 5: Hanley and McNeil's variance at the bound itself, so that an AUROC of 1 has an
interval, too.
"""

import math

from bench.metrics.rates import Z_95

HALVINGS = 60


def ranking_interval(auroc: float, negatives: int, positives: int) -> tuple[float, float]:
    """Ends of the 95 % interval, in [0, 1].

    Args:
        auroc: in [0, 1].
        negatives: cases that should rank low, at least 1.
        positives: cases that should rank high, at least 1.
    """
    return _bound(auroc, 0.0, negatives, positives), _bound(auroc, 1.0, negatives, positives)


def _bound(auroc: float, end: float, negatives: int, positives: int) -> float:
    """Between `auroc` and `end`, where the distance to `auroc` is what the variance there allows."""
    near, far = auroc, end
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        if abs(middle - auroc) < Z_95 * math.sqrt(_variance(middle, negatives, positives)):
            near = middle
        else:
            far = middle
    return near


def _variance(auroc: float, negatives: int, positives: int) -> float:
    others = (negatives + positives) / 2 - 1
    spread = 1 + others * (1 - auroc) / (2 - auroc) + others * auroc / (1 + auroc)
    return auroc * (1 - auroc) * spread / (negatives * positives)
