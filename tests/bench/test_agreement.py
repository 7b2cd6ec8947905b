"""Rows compared: what rounding may change, and what nothing may. The rows are those of finished runs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_runs import Finished

from attacks.cw import CwConfig
from attacks.errors import DataError
from bench.verification.agreement import Mask, RowAgreement, compare_rows
from bench.verification.alike import differing
from bench.verification.stored_studio import DisagreementError

Change = Callable[[pd.DataFrame], Any]
CONFIG = CwConfig(confidence=2.0)


@pytest.fixture
def rows(finished: Finished) -> pd.DataFrame:
    """er1's, 20 images a kind and set; the adversarial ones of set II begin at 100."""
    return finished.outcomes["er1"].copy()


def compared(recorded: pd.DataFrame, judged: pd.DataFrame, gap: float = 1.0) -> RowAgreement:
    """As compared; in every row the largest logit lies `gap` above the second."""

    def gaps(asked: Mask) -> Any:
        return np.full(int(asked.sum()), gap)

    return compare_rows(recorded, judged, CONFIG, gaps)


def put(name: str, change: Callable[[Any], Any], place: int = 100) -> Change:
    def changed(rows: pd.DataFrame) -> None:
        rows.loc[place, name] = change(rows[name][place])

    return changed


def predict_another(rows: pd.DataFrame) -> None:
    rows.loc[0, "prediction"] = (rows["prediction"][0] + 1) % 10
    rows.loc[0, "correct"] = rows["label"][0] == rows["prediction"][0]


def test_rows_agree_with_themselves(rows: pd.DataFrame) -> None:
    assert rows["kind"][100] == "adversarial"
    assert compared(rows.copy(), rows) == RowAgreement(rows=120, agreed=120, rounded=0, problems=[])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("label", lambda value: value + 1), "label "),
        (predict_another, "prediction "),
        (put("correct", lambda value: not value), "correct "),
        (put("flagged", lambda value: not value), "flagged "),
        (put("reached", lambda value: not value), "reached "),
        (put("judged", lambda value: not value), "judged "),
        (put("margin", lambda value: value + 0.01), "margin "),
        (put("margin", lambda _value: 0.0, place=0), "margin nan, recorded 0"),
        (put("l2", lambda value: value + 1e-4), "l2 "),
        (put("linf", lambda value: value + 1e-4), "linf "),
        (put("goal_class", lambda value: value + 1), "goal_class "),
        (put("probability", lambda value: value - 0.01), "probability "),
        (put("score_log_density", lambda value: value + 0.01), "score_log_density "),
    ],
)
def test_one_changed_row_is_found_and_named(rows: pd.DataFrame, change: Change, says: str) -> None:
    judged = rows.copy()
    judged.loc[100, ["margin", "probability"]] = [5.0, 0.9]  # far from every threshold
    recorded = judged.copy()
    change(recorded)
    found = compared(recorded, judged)
    assert (found.agreed, found.rounded, len(found.problems)) == (119, 0, 1)
    place = 0 if recorded.iloc[100].equals(judged.iloc[100]) else 100
    assert found.problems[0].startswith(f"image {judged['sample_id'][place]} ({judged['role'][place]}, ")
    assert says in found.problems[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.drop(index=119), "has 119 rows, the protocol gives 120"),
        (lambda rows: rows.assign(more=0), "columns that do not follow from images: more"),
        (lambda rows: rows.assign(label=rows["label"] + 0.5), "holds float64 in 'label' where int64 belongs"),
        (lambda rows: rows.assign(kind="unkind"), "unknown role or kind"),
        (lambda rows: rows.iloc[::-1], "row 0 has role test instead of fit"),
        (lambda rows: rows.assign(sample_id=rows["sample_id"] + 1), "row 0 has sample id"),
    ],
)
def test_rows_of_other_images_are_refused(
    rows: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], says: str
) -> None:
    with pytest.raises(DisagreementError, match=says):
        compared(change(rows), rows)


def test_rows_without_a_column_of_today_cannot_be_compared(rows: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="lacks l2, as those of older versions do"):
        compared(rows.drop(columns="l2"), rows)


def test_text_is_compared_whatever_its_type(rows: pd.DataFrame) -> None:
    judged = rows.assign(gradient=np.array(["vanished"] * 120, dtype=object))
    recorded = judged.astype({"gradient": "string"})
    assert compared(recorded, judged).agreed == 120
    recorded.loc[7, "gradient"] = "met"
    (problem,) = compared(recorded, judged).problems
    assert problem.endswith("gradient vanished, recorded met")


def test_rounding_may_move_numbers_by_its_size(rows: pd.DataFrame) -> None:
    recorded = rows.copy()
    recorded["margin"] += np.float32(9e-4)
    recorded["l2"] += np.float32(9e-6)
    recorded["probability"] += 9e-4
    assert compared(recorded, rows).agreed == 120


def test_rounding_may_turn_a_verdict_only_where_it_is_that_close(rows: pd.DataFrame) -> None:
    other = rows.copy()
    predict_another(other)
    other.loc[0, "score_log_density"] -= 3  # the density of another class
    assert compared(other, rows, gap=9e-4) == RowAgreement(rows=120, agreed=120, rounded=1, problems=[])
    assert compared(other, rows, gap=1.1e-3).agreed == 119
    other.loc[0, "correct"] = True  # not of the recorded prediction
    assert compared(other, rows, gap=9e-4).agreed == 119

    for name, value, near, far in (
        ("flagged", "probability", 0.4995, 0.498),
        ("reached", "margin", 2.0 - 1e-3 - 5e-4, 2.0 - 1e-3 - 2e-3),
    ):
        for threshold, agreed in ((near, 120), (far, 119)):
            judged = rows.copy()
            judged.loc[100, value] = threshold
            recorded = judged.copy()
            recorded.loc[100, name] = not judged[name][100]
            found = compared(recorded, judged)
            assert (found.agreed, found.rounded) == (agreed, agreed - 119)


def test_json_compared_to_a_tolerance() -> None:
    expected = {"a": {"n": 3, "value": 0.5}, "b": [1.0, None], "c": "text"}

    def changed(**parts: Any) -> list[str]:
        return differing(expected | parts, expected, relative=1e-3, absolute=0.0)

    assert changed() == []
    assert changed(a={"n": 3, "value": 0.5001}, b=[1.0005, None]) == []
    assert changed(a={"n": 3, "value": 0.51}, b=[1.0, 0.0], c="other") == ["a", "b", "c"]
    assert changed(a={"n": 3}, b=[1.0], c=None) == ["a", "b", "c"]
    assert changed(a={"n": True, "value": 0.5}) == ["a"]
    assert changed(d=1) == ["d"]
    assert differing([], expected, relative=1.0, absolute=1.0) == ["a", "b", "c"]
