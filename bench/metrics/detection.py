"""How well a detector does: the paper's two numbers, and those that keep them honest.

Sources: supplement D.1 (ACC-NADV, ACC-COM, whose definitions it leaves to be read from its numbers); AUROC and AUPR by
scikit-learn. A detector that flags everything has ACC-COM 100 %, so the two never stand alone.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.metrics.rates import Rate, rate
from bench.outcomes import select

MOST_FALSE_POSITIVES = 0.05
FEWER_FALSE_POSITIVES = 0.01  # an image in a hundred; with fewer clean images none may be caught
AT_FEWER = ("tpr_at_1_fpr", "success_rate_at_1_fpr", "threshold_at_1_fpr")  # absent from older records
Metrics = dict[str, Rate | float | int | None]


def detection_metrics(outcomes: pd.DataFrame) -> Metrics:
    """Every number of a detector's run, from the rows of set II that count.

    Args:
        outcomes: see `bench.outcomes`.

    Returns:
        Rates with n and interval; AUROC and AUPR in [0, 1] of the probability, where adversarial is positive;
        `low_score_auroc` of minus the first score (above 0.5: adversarial images have low scores).
    """
    judged = select(outcomes)[select(outcomes)["judged"]]
    benign = judged[judged["kind"] != "adversarial"]
    clean = judged[judged["kind"] == "clean"]
    adversarial = judged[judged["kind"] == "adversarial"]
    misled = ~adversarial["correct"]
    return {
        "acc_nadv": _share(~benign["flagged"]),
        "acc_com": _share(adversarial["flagged"] | adversarial["correct"]),
        "detection_rate": _share(adversarial["flagged"]),
        "false_positive_rate": _share(benign["flagged"]),
        "auroc": _ranking(roc_auc_score, benign["probability"], adversarial["probability"]),
        "aupr": _ranking(average_precision_score, benign["probability"], adversarial["probability"]),
        "attack_success_rate": _share(misled),
        "low_score_auroc": _low_score_auroc(benign, adversarial),
        **_at("5_fpr", MOST_FALSE_POSITIVES, clean, adversarial),
        **_at("1_fpr", FEWER_FALSE_POSITIVES, clean, adversarial),
    }


def _at(name: str, most: float, clean: pd.DataFrame, adversarial: pd.DataFrame) -> Metrics:
    """What is caught, and what misleads and is not, at the threshold that clean images alone set."""
    threshold = threshold_at(clean["probability"].to_numpy(), most)
    caught = adversarial["probability"] > threshold
    return {
        f"tpr_at_{name}": _share(caught),
        f"success_rate_at_{name}": _share(~adversarial["correct"] & ~caught),
        f"threshold_at_{name}": threshold,
    }


def threshold_at(clean: NDArray[np.float64], most: float) -> float:
    """The lowest threshold that at most a share `most` of the clean probabilities exceed.

    Args:
        clean: (n,) probabilities of clean images alone, so that no attack moves the threshold.
        most: highest false positive rate, in [0, 1].

    Returns:
        A probability; an image is caught when its own is strictly above. 1 when n is 0.
    """
    if len(clean) == 0:
        return 1.0
    ordered = np.sort(clean)[::-1]
    allowed = int(np.floor(most * len(clean) + 1e-9))  # how many clean images may be caught
    return float(ordered[min(allowed, len(clean) - 1)])


def passes(attacked: pd.DataFrame, threshold: float | None) -> pd.Series:
    """Which rows of attacked images mislead the classifier and are not caught at a threshold: (rows,) bool.

    Without a threshold nothing is caught.
    """
    return ~attacked["correct"] & (attacked["probability"] <= (1.0 if threshold is None else threshold))


def _share(values: pd.Series) -> Rate:
    return rate(int(values.sum()), len(values))


def _ranking(metric: object, negative: pd.Series, positive: pd.Series) -> float | None:
    if len(negative) == 0 or len(positive) == 0:
        return None
    labels = np.r_[np.zeros(len(negative)), np.ones(len(positive))]
    assert callable(metric)
    return float(metric(labels, np.r_[negative.to_numpy(), positive.to_numpy()]))


def _low_score_auroc(benign: pd.DataFrame, adversarial: pd.DataFrame) -> float | None:
    first = next(column for column in benign.columns if column.startswith("score_"))
    finite = np.finfo(np.float64)
    return _ranking(
        roc_auc_score,
        -benign[first].clip(finite.min, finite.max),
        -adversarial[first].clip(finite.min, finite.max),
    )
