"""The logistic regression that turns scores into a verdict.

Sources: supplement Algorithm 1, line 11; Feinman et al. 2017 and Ma et al. 2018. Scaling is fitted on set I alone
(the published LID code fits it on all rows, test rows included).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.errors import RequestError

Scores = NDArray[np.float64]
FOLDS = 5
CLASS_WEIGHTS = ("none", "balanced")
STRENGTHS = tuple(float(strength) for strength in np.geomspace(1e-4, 1e4, 10))  # scikit-learn's own default grid
LOWEST_LOG_DENSITY = -1e6  # stands in for -inf, which no regression can weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A fitted logistic regression.

    mean, scale: (scores,) the standardization.
    weights: (scores,) of the standardized scores; a negative weight flags low values.
    intercept: in log-odds.
    """

    mean: Scores
    scale: Scores
    weights: Scores
    intercept: float

    def probability(self, scores: Scores) -> Scores:
        """(n, scores) float64 -> (n,) probability that the image is adversarial; flagged from 0.5 on."""
        standardized = (_finite(scores) - self.mean) / self.scale
        log_odds = standardized @ self.weights + self.intercept
        return 1 / (1 + np.exp(-np.clip(log_odds, -500, 500)))


def fit_decision(negatives: Scores, positives: Scores, seed: int, class_weight: str = "none") -> Decision:
    """Fit on set I.

    Args:
        negatives: (n, scores) of clean and noisy images.
        positives: (m, scores) of adversarial images.
        seed: of the cross-validation's folds.
        class_weight: "none" lets every image count as one; "balanced" lets both classes count alike, in the loss and
            in the choice of its strength.

    Raises:
        RequestError: fewer positives or negatives than folds.
    """
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    if min(len(negatives), len(positives)) < FOLDS:
        raise RequestError(
            f"set I has {len(negatives)} non-adversarial and {len(positives)} adversarial images; the "
            f"cross-validated logistic regression needs at least {FOLDS} of each. Raise --n-fit"
        )
    scores = _finite(np.concatenate([negatives, positives]))
    labels = np.r_[np.zeros(len(negatives)), np.ones(len(positives))]
    unit = _unit(scores)
    mean, spread = (scores / unit).mean(axis=0) * unit, (scores / unit).std(axis=0) * unit
    scale = np.where(
        np.ptp(scores, axis=0) > 0, spread, unit
    )  # a constant score is left at zero; its spread may not be
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    weighted = {"scoring": "balanced_accuracy", "class_weight": "balanced"}
    weighting = weighted if class_weight == "balanced" else {"scoring": "accuracy"}
    regression = LogisticRegressionCV(Cs=STRENGTHS, cv=folds, max_iter=1000, **weighting)
    with warnings.catch_warnings():  # releases announce changes of defaults that play no part here
        warnings.simplefilter("ignore", FutureWarning)
        regression.fit((scores - mean) / scale, labels)
    return Decision(mean=mean, scale=scale, weights=regression.coef_[0], intercept=float(regression.intercept_[0]))


def _unit(scores: Scores) -> Scores:
    """Powers of two near each score's largest values, in which squares of densities neither vanish nor overflow."""
    largest = np.abs(scores).max(axis=0)
    return np.exp2(np.floor(np.log2(np.where(largest > 0, largest, 1.0))))


def _finite(scores: Scores) -> Scores:
    return np.maximum(np.nan_to_num(scores, nan=LOWEST_LOG_DENSITY), LOWEST_LOG_DENSITY)
