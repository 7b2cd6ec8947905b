"""What is left standing after each member of AutoAttack, as its own code prints it."""

import pandas as pd

from attacks.auto import members_for
from bench.metrics.rates import Rate, rate
from bench.outcomes import select

PREFIX = "robust_accuracy_after_"


def member_metrics(outcomes: pd.DataFrame) -> dict[str, Rate]:
    """Robust accuracy after each member, by `PREFIX` and its name; nothing under attacks without members.

    An image counts as broken from the member on that made what it was given back as.

    Args:
        outcomes: see `bench.outcomes`; of a bare classifier.
    """
    if "broken_by" not in outcomes:
        return {}
    adversarial = select(outcomes, kind="adversarial").set_index("sample_id")
    standing = select(outcomes, kind="clean").set_index("sample_id").loc[adversarial.index, "correct"]
    is_targeted = bool((adversarial["goal_class"] != adversarial["label"]).any())
    metrics = {}
    for name in members_for(targeted=is_targeted):
        standing &= adversarial["correct"] | (adversarial["broken_by"] != name)
        metrics[PREFIX + name] = rate(int(standing.sum()), len(standing))
    return metrics
