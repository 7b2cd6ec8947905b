"""The verdict on the paper's ranking, KD and LID below ER1 and ER2, from records whose counts are made up."""

from collections.abc import Callable, Mapping

import pytest

from bench.metrics.rates import rate
from bench.paper.artifacts.ranking import ranking_finding
from bench.record import Record

MakeRecord = Callable[..., Record]
CONFIRMED, OTHER_WAY = "is confirmed", "is refuted: it is the other way round"


def told(make_record: MakeRecord, caught: Mapping[str, int | None], n: int = 100) -> str:
    """The sentence for that many of `n` caught at 5 % false positives, by method; None: no numbers."""

    def records(count: int | None) -> list[Record]:
        metrics = {} if count is None else {"tpr_at_5_fpr": rate(count, n), "auroc": count / n}
        return [make_record(metrics=metrics)]

    return ranking_finding({name: records(count) for name, count in caught.items()})


@pytest.mark.parametrize(
    ("kd", "lid", "er1", "er2", "verdict"),
    [
        (10, 20, 60, 70, CONFIRMED),
        (60, 70, 10, 20, OTHER_WAY),
        (10, 70, 20, 90, "is refuted: a baseline lies above an ER-Detector beyond both intervals"),
        (10, 20, 25, 90, "is neither confirmed nor refuted: the intervals overlap"),
        (50, 50, 50, 50, "is neither confirmed nor refuted: the intervals overlap"),
    ],
)
def test_verdicts(make_record: MakeRecord, kd: int, lid: int, er1: int, er2: int, verdict: str) -> None:
    sentence = told(make_record, {"KD": kd, "LID": lid, "ER1": er1, "ER2": er2})
    assert sentence.endswith(f"The paper's KD, LID < ER1, ER2 {verdict}")


def test_the_intervals_decide_not_the_order(make_record: MakeRecord) -> None:
    counts = {"KD": 2, "LID": 2, "ER1": 6, "ER2": 6}
    assert "the intervals overlap" in told(make_record, counts, n=10)
    assert told(make_record, {name: 100 * count for name, count in counts.items()}, n=1000).endswith(CONFIRMED)


def test_methods_stand_in_the_order_of_what_they_catch(make_record: MakeRecord) -> None:
    sentence = told(make_record, {"KD": 20, "LID": 5, "ER1": 60, "ER2": 0})
    shown = "ER1 60 % (AUROC 0.60), KD 20 % (AUROC 0.20), LID 5 % (AUROC 0.05), ER2 0 % (AUROC 0.00)"
    assert sentence.startswith(f"sound protocol, caught at 5 % false positives: {shown}.")


def test_seeds_that_disagree_leave_it_open(make_record: MakeRecord) -> None:
    def records(*counts: int) -> list[Record]:
        return [
            make_record(metrics={"tpr_at_5_fpr": rate(count, 100), "auroc": 0.5}, seed=s)
            for s, count in enumerate(counts)
        ]

    sure = {"KD": records(10, 10, 10), "LID": records(10, 10, 10), "ER2": records(60, 60, 60)}
    assert ranking_finding({**sure, "ER1": records(60, 60, 60)}).endswith(CONFIRMED)
    assert "the intervals overlap" in ranking_finding({**sure, "ER1": records(20, 60, 100)})  # the same mean


def test_a_method_without_numbers_is_no_overlap(make_record: MakeRecord) -> None:
    sentence = told(make_record, {"KD": None, "LID": 10, "ER1": 60, "ER2": 60})
    assert "KD n/a (AUROC n/a)" in sentence
    assert sentence.endswith("is neither confirmed nor refuted: KD gave no numbers")
    sentence = told(make_record, {"KD": None, "LID": 10, "ER1": None, "ER2": 60})
    assert sentence.endswith("is neither confirmed nor refuted: KD and ER1 gave no numbers")
    assert "is refuted" in told(make_record, {"KD": None, "LID": 90, "ER1": 10, "ER2": 60})  # by the others alone
