"""A classifier's numbers, against hand counts."""

import pandas as pd

from bench.metrics.classification import attack_metrics, classification_metrics
from bench.metrics.rates import rate


def outcomes(clean: list[bool], attacked: list[bool], reached: list[bool]) -> pd.DataFrame:
    ids = list(range(10, 10 + len(clean)))
    zero = pd.DataFrame({"sample_id": ids, "kind": "clean", "correct": clean, "reached": False, "l2": 0.0, "linf": 0.0})
    distances = {"l2": [1.0, 2.0, 4.0, 9.0, 16.0][: len(ids)], "linf": [0.1, 0.2, 0.3, 0.4, 0.5][: len(ids)]}
    moved = pd.DataFrame({"sample_id": ids, "kind": "adversarial", "correct": attacked, "reached": reached} | distances)
    moved = moved.iloc[::-1]  # rows of both kinds are matched by id, not by place
    return pd.concat([zero, moved], ignore_index=True).assign(role="test")


def test_a_misclassified_clean_image_is_not_robust() -> None:
    # the third is wrong when clean and right when attacked: neither robust nor a success of the attack
    table = outcomes(
        [True, True, False, True, False], [True, False, True, False, False], [False, True, False, True, True]
    )
    metrics = classification_metrics(table)
    assert metrics["accuracy_on_attacked"] == rate(3, 5)
    assert metrics["robust_accuracy"] == rate(1, 5)
    assert metrics["attack_success_rate"] == rate(2, 3)


def test_rows_of_set_one_do_not_count() -> None:
    table = outcomes([True, True], [True, False], [False, True])
    other = outcomes([False, False], [False, False], [True, True]).assign(role="fit")
    assert classification_metrics(pd.concat([table, other])) == classification_metrics(table)
    assert attack_metrics(pd.concat([table, other])) == attack_metrics(table)


def test_distances_are_those_of_reached_images() -> None:
    table = outcomes([True] * 5, [False] * 5, [True, True, False, True, False])
    metrics = attack_metrics(table)
    assert metrics["reached"] == rate(3, 5)
    assert metrics["median_l2"] == 2  # of 1, 2, 9
    assert metrics["mean_l2"] == 4
    assert metrics["median_linf"] == 0.2


def test_nothing_reached_has_no_distance() -> None:
    metrics = attack_metrics(outcomes([True] * 2, [True] * 2, [False] * 2))
    assert metrics == {"reached": rate(0, 2), "median_l2": None, "mean_l2": None, "median_linf": None}
