"""How well a classifier withstands an attack."""

import pandas as pd

from bench.metrics.detection import Metrics
from bench.metrics.rates import rate
from bench.outcomes import select


def classification_metrics(outcomes: pd.DataFrame) -> Metrics:
    """Accuracy on the test images, clean and attacked; a misclassified clean image is not robust.

    Args:
        outcomes: see `bench.outcomes`; rows of the role "test".
    """
    clean = select(outcomes, kind="clean").set_index("sample_id")
    adversarial = select(outcomes, kind="adversarial").set_index("sample_id")
    right = clean.loc[adversarial.index, "correct"]
    robust = right & adversarial["correct"]
    return {
        "accuracy_on_attacked": rate(int(right.sum()), len(right)),
        "robust_accuracy": rate(int(robust.sum()), len(robust)),
        "attack_success_rate": rate(int((right & ~adversarial["correct"]).sum()), int(right.sum())),
    }


def attack_metrics(outcomes: pd.DataFrame) -> Metrics:
    """What the test attack achieved: how many images reached the goal, and how far they moved.

    Returns:
        `reached` of all attacked images; median and mean L2 and median L-infinity, in pixel units, over those
        that reached it (None when none did).
    """
    adversarial = select(outcomes, kind="adversarial")
    reached = adversarial[adversarial["reached"]]
    some = len(reached) > 0
    return {
        "reached": rate(len(reached), len(adversarial)),
        "median_l2": float(reached["l2"].median()) if some else None,
        "mean_l2": float(reached["l2"].mean()) if some else None,
        "median_linf": float(reached["linf"].median()) if some else None,
    }
