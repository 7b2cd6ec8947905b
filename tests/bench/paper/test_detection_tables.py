"""Tables of detectors: ours beside the paper's, floors, verdicts and failures, from made-up counts.

The paper's numbers for ER1 trained on FGSM against C&W at confidence 9 on MNIST are 80.00 and 100.00 (Table 3).
"""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from desk_made_up import texts

from bench.metrics.rates import rate
from bench.paper.artifacts.detection import _effect_findings, _floor_findings
from bench.paper.artifacts.detection_table import Method, detection_table
from bench.paper.contract import Made, PaperRequest
from bench.record import Record

MakeRecord = Callable[..., Record]


@pytest.fixture
def method(make_record: MakeRecord) -> Callable[..., Method]:
    """A method of one seed: of 200 benign inputs and 100 adversarial ones so many are told right, so many mislead."""

    def method(block: str, nadv: int, com: int, fooled: int = 100, defense: str = "er1", **other: Any) -> Method:
        metrics = {
            "acc_nadv": rate(nadv, 200),
            "acc_com": rate(com, 100),
            "attack_success_rate": rate(fooled, 100),
            "tpr_at_5_fpr": rate(40, 100),
            "median_l2": 2.5,
            "reached": rate(97, 100),
            "auroc": 0.75,
        }
        return Method(block=block, records=(make_record(metrics=metrics | other, defense=defense),))

    return method


def made_of(methods: list[Method], **settings: int) -> Made:
    desk: Any = SimpleNamespace(request=PaperRequest(settings=settings))
    return detection_table(title="A title", head="Protocol", methods=methods, desk=desk, findings=("between",))


def test_ours_stand_beside_the_papers(method: Callable[..., Method]) -> None:
    made = made_of([method("paper", 160, 20), method("sound", 200, 100)])
    heads = ["Protocol", "Method", *["ACC-NADV"] * 3, *["ACC-COM"] * 3, *["ours alone"] * 5]
    assert [(column.groups or (column.title,))[0] for column in made.table.columns] == heads
    paper, sound = texts(made)
    assert paper[:8] == [
        "paper",
        "ER1",
        "80.0 [73.9, 85.0]",
        "80.00",
        "+0.0 =",
        "20.0 [13.3, 28.9]",
        "100.00",
        "−80.0 ▼",
    ]
    assert paper[8:] == ["0.0 [0.0, 3.7]", "0.75", "40.0 [30.9, 49.8]", "97.0 [91.5, 99.0]", "2.50"]
    assert (sound[4], sound[7]) == ("+20.0 ▲", "+0.0 =")
    assert [len(block) for block in made.table.blocks] == [1, 1]
    bold = [[entry.bold for entry in row] for block in made.table.blocks for row in block]
    assert [[place for place, is_bold in enumerate(row) if is_bold] for row in bold] == [[7], [4]]


def test_an_attack_that_reached_nothing_gives_no_verdict_on_what_it_was_to_fool(method: Callable[..., Method]) -> None:
    made = made_of([method("paper", 160, 100, fooled=0, reached=rate(0, 100))])
    (row,) = texts(made)
    assert row[5:8] == ["100.0 [96.3, 100.0]", "–", "–"]
    assert made.findings[0].startswith("paper: 0 better, 1 equal, 0 worse")  # of ACC-NADV alone
    assert "reached its goal for no image" in made.findings[1]
    assert "ER1 (paper)" in made.findings[1]


def test_cells_are_counted_by_verdict_and_the_worse_ones_named(method: Callable[..., Method]) -> None:
    made = made_of([method("paper", 160, 20), method("sound", 200, 100)])
    assert made.findings == (
        "paper: 0 better, 1 equal, 1 worse than the paper beyond our interval; worse: ER1 ACC-COM",
        "sound: 1 better, 1 equal, 0 worse than the paper beyond our interval",
        "between",
    )


def test_data_are_whole(method: Callable[..., Method]) -> None:
    made = made_of([method("paper", 161, 20, low_score_auroc=0.4)])
    rows = {row["metric"]: row for row in made.data}
    acc = rows["acc_nadv"]
    assert (acc["ours"], acc["low"], acc["high"]) == (161 / 200, rate(161, 200).low, rate(161, 200).high)
    assert (acc["n"], acc["paper"], acc["verdict"]) == (200, 0.8, "equal")
    assert (rows["acc_com"]["paper"], rows["acc_com"]["verdict"]) == (1.0, "worse")
    assert (rows["reached"]["ours"], rows["reached"]["paper"]) == (0.97, None)
    assert (rows["low_score_auroc"]["ours"], rows["low_score_auroc"]["verdict"]) == (0.4, "n/a")
    assert rows["detection_rate"]["ours"] is None
    assert {row["runs"] for row in made.data} == set(made.keys)


def test_what_was_counted_follows_the_settings(method: Callable[..., Method]) -> None:
    assert made_of([method("a", 1, 1)]).counted.startswith("n 100 images in set I, 100 in set II")
    assert made_of([method("a", 1, 1)], n_fit=7, n_test=9).counted.startswith("n 7 images in set I, 9 in set II")


def test_an_acc_com_that_owes_nothing_to_the_detector_is_told(method: Callable[..., Method]) -> None:
    at_floor, just_above, far_above = method("paper", 1, 11, 89), method("sound", 1, 15, 89), method("none", 1, 90, 89)
    assert texts(made_of([at_floor]))[0][8].startswith("11.0 [")  # 89 of 100 misled, so 11 right without a detector
    (sentence,) = _floor_findings([at_floor, just_above, far_above])
    assert sentence.endswith(": ER1 (paper), ER1 (sound)")  # 15 of 100 might as well be 11
    assert _floor_findings([far_above]) == ()


def test_the_regularizers_effect_is_told_per_attack_and_size(method: Callable[..., Method]) -> None:
    (sentence,) = _effect_findings(
        [
            method("PGD", 100, 20, defense="er1-minus", auroc=0.5),
            method("PGD", 180, 60, defense="er1", auroc=0.875),
            method("FGSM", 10, 10, defense="er2-minus"),  # its counterpart is missing
        ]
    )
    assert sentence == (
        "PGD, ER1⁻ → ER1: ACC-NADV 50.0 [43.1, 56.9] → 90.0 [85.1, 93.4]; "
        "ACC-COM 20.0 [13.3, 28.9] → 60.0 [50.2, 69.1]; AUROC 0.50 → 0.88"
    )


def test_a_method_without_numbers_says_why(method: Callable[..., Method]) -> None:
    done = method("sound", 160, 20)
    crashed = replace(done.records[0], status="error", message="Traceback:\n  a line\nValueError: why", metrics={})
    made = made_of([replace(done, records=(crashed,))])
    assert texts(made)[0][2:8] == ["n/a", "80.00", "–", "n/a", "100.00", "–"]
    assert made.findings == ("between", "ER1 (sound), seed 0: no numbers, error: ValueError: why")


def test_numbers_that_a_sanity_flag_spoils_are_marked(method: Callable[..., Method]) -> None:
    flag = {"name": "won-by-flagging", "spoils": ["acc_com"]}
    sound, flagged = method("sound", 160, 20), method("paper", 160, 20)
    flagged = replace(flagged, records=(replace(flagged.records[0], flags=[flag]),))
    made = made_of([flagged, sound])
    marked, unmarked = texts(made)
    assert [text for text in marked if "(!)" in text] == ["20.0 [13.3, 28.9] (!)"]
    assert not any("(!)" in text for text in unmarked)
    assert made.findings[-1].endswith("make the numbers marked (!) doubtful: ER1 (paper): won-by-flagging")
