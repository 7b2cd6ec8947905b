"""Which rows a rate counts, one by one, so that two runs can be compared image by image.

The same definitions as `classification.py` and `detection.py`, before they are summed; a baseline checks both against
each other whenever it takes in a record.
"""

import pandas as pd

from bench.metrics.detection import FEWER_FALSE_POSITIVES, MOST_FALSE_POSITIVES, threshold_at
from bench.outcomes import select

Cases = dict[str, pd.Series]  # by metric: bool, indexed by (kind, sample_id), only what counts


def rate_cases(outcomes: pd.DataFrame) -> Cases:
    """For every rate that follows from outcomes, its cases and whether each is a success.

    Args:
        outcomes: see `bench.outcomes`; a detector's have the column `flagged`.
    """
    rows = select(outcomes).set_index(["kind", "sample_id"])
    return _detector_cases(rows) if "flagged" in rows.columns else _classifier_cases(rows)


def _classifier_cases(rows: pd.DataFrame) -> Cases:
    adversarial = rows.loc[["adversarial"]]
    ids = adversarial.index.get_level_values("sample_id")
    clean = rows.loc["clean"].loc[ids, ["correct"]].set_index(adversarial.index)["correct"]
    attacked = adversarial[clean]
    return {
        "accuracy_on_attacked": clean,
        "robust_accuracy": clean & adversarial["correct"],
        "attack_success_rate": ~attacked["correct"],
        "reached": attacked["reached"],
    }


def _detector_cases(rows: pd.DataFrame) -> Cases:
    judged = rows[rows["judged"]]
    is_adversarial = judged.index.get_level_values("kind") == "adversarial"
    benign, adversarial = judged[~is_adversarial], judged[is_adversarial]
    clean = judged.loc[judged.index.get_level_values("kind") == "clean", "probability"].to_numpy()
    caught = adversarial["probability"] > threshold_at(clean, MOST_FALSE_POSITIVES)
    caught_at_fewer = adversarial["probability"] > threshold_at(clean, FEWER_FALSE_POSITIVES)
    everything = rows[rows.index.get_level_values("kind") == "adversarial"]
    return {
        "acc_nadv": ~benign["flagged"],
        "acc_com": adversarial["flagged"] | adversarial["correct"],
        "detection_rate": adversarial["flagged"],
        "false_positive_rate": benign["flagged"],
        "tpr_at_5_fpr": caught,
        "success_rate_at_5_fpr": ~adversarial["correct"] & ~caught,
        "tpr_at_1_fpr": caught_at_fewer,
        "success_rate_at_1_fpr": ~adversarial["correct"] & ~caught_at_fewer,
        "attack_success_rate": ~adversarial["correct"],
        "reached": everything["reached"],
    }
