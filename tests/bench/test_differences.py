"""Runs that share a name are told apart by what differs; expectations follow from the specs written here."""

import pandas as pd

from bench.evaluate_classifier import _strictness_note
from bench.spec import RunSpec
from bench.tables.differences import differences, name_apart


def test_only_what_differs_is_named() -> None:
    first = {"defense": "er1", "seed": 0, "classifier": {"config": {"prior": "gaussian"}, "seed": 0}}
    second = {"defense": "er1", "seed": 1, "classifier": {"config": {"prior": "cauchy"}, "seed": 1}}
    assert differences([first, second]) == ["seed 0, prior gaussian", "seed 1, prior cauchy"]
    assert differences([first, first]) == ["", ""]


def test_names_that_are_unique_stay() -> None:
    specs = [{"counted": "all"}, {"counted": "reached"}, {"counted": "all"}]
    assert name_apart(["ER1", "ER1", "KD"], specs) == ["ER1 (counted all)", "ER1 (counted reached)", "KD"]


def test_a_strict_attack_on_a_classifier_is_said_to_flatter_it(spec: RunSpec) -> None:
    rows = [{"sample_id": i, "role": "test", "kind": "adversarial", "reached": i < 3} for i in range(5)]
    (note,) = _strictness_note(spec, pd.DataFrame(rows))  # confidence 9
    assert note.startswith("2 images missed the confidence")
    assert _strictness_note(spec, pd.DataFrame(rows[:3])) == []
