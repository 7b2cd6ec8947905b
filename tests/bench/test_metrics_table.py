"""The table a run ends with, read back as text; the numbers are made up."""

from collections.abc import Callable
from dataclasses import replace

from bench.metrics.rates import rate
from bench.record import Record
from bench.spec import RunSpec
from bench.tables.metrics_table import metrics_table, percent

Make = Callable[..., Record]


def test_a_rate_is_written_with_interval_and_n() -> None:
    assert percent(rate(81, 263)) == "30.8 % [25.5, 36.6] n=263"  # Newcombe 1998: 0.2553 to 0.3662
    assert percent(rate(0, 0)) == percent(None) == "n/a (n=0)"


def test_one_line_a_metric_one_column_a_record(make_record: Make) -> None:
    metrics = {"acc_nadv": rate(5, 8), "auroc": 0.98765, "median_l2": 1.234, "reached": rate(8, 8)}
    table = metrics_table([make_record(metrics=metrics), make_record(seed=1, metrics={"acc_com": rate(1, 4)})])
    assert [row[0] for row in table] == ["ACC-NADV", "ACC-COM", "AUROC", "reached confidence 9", "median L2 of those"]
    cells = {row[0]: row[1:] for row in table}
    assert cells["AUROC"] == ["0.988", ""]
    assert cells["median L2 of those"] == ["1.23", ""]
    assert cells["ACC-COM"] == ["", percent(rate(1, 4))]
    assert cells["ACC-NADV"][0].startswith("62.5 % [")


def test_nothing_reached_is_said_so(make_record: Make) -> None:
    metrics = {"acc_com": rate(0, 0), "auroc": None, "median_l2": None, "reached": rate(0, 100)}
    cells = {row[0]: row[1] for row in metrics_table([make_record(metrics=metrics)])}
    assert cells["ACC-COM"] == "n/a (n=0)"
    assert cells["AUROC"] == cells["median L2 of those"] == "n/a"
    assert cells["reached confidence 9"].startswith("0.0 % [0.0, 3.7] n=100")


def test_the_confidences_are_in_the_title(make_record: Make, spec: RunSpec) -> None:
    def title(*confidences: float) -> str:
        configs = [replace(spec.attack_config, confidence=confidence) for confidence in confidences]
        return metrics_table(
            [make_record(attack_config=config, metrics={"reached": rate(1, 2)}) for config in configs]
        )[0][0]

    assert title(0) == "reached the goal"
    assert title(20) == "reached confidence 20"
    assert title(20, 9) == "reached the goal"  # each its own; the columns' heads say which


def test_a_classifiers_success_is_told_once(make_record: Make, spec: RunSpec) -> None:
    def titles(success: object, reached: object, **changes: object) -> list[str]:
        metrics = {"attack_success_rate": success, "reached": reached, "median_l2": 1.5}
        return [row[0] for row in metrics_table([make_record(metrics=metrics, **changes)])]

    plain = replace(spec.attack_config, confidence=0.0)
    bare = {"defense": "standard", "detector": None, "attack_config": plain}
    assert titles(rate(3, 8), rate(3, 8), **bare) == ["attack success", "median L2 of successes"]
    # a target, or a confidence, is more than a wrong answer
    both = ["attack success", "reached the goal", "median L2 of those"]
    assert titles(rate(3, 8), rate(2, 8), **bare) == both
    strict = bare | {"attack_config": replace(plain, confidence=5.0)}
    assert titles(rate(3, 8), rate(2, 8), **strict) == ["attack success", "reached confidence 5", "median L2 of those"]
    told = ["attack success, no detector", "reached the goal", "median L2 of those"]
    assert titles(rate(3, 8), rate(3, 8), attack_config=plain) == told


def test_numbers_that_a_flag_spoils_are_marked_and_no_others(make_record: Make) -> None:
    metrics = {"robust_accuracy": rate(90, 100), "clean_accuracy": rate(98, 100)}
    record = make_record(metrics=metrics)
    flag = {"name": "random-outputs", "spoils": ["robust_accuracy", "acc_com"]}
    assert metrics_table([replace(record, flags=[flag])]) == [
        ["robust accuracy", percent(rate(90, 100)) + " (!)"],
        ["clean accuracy", percent(rate(98, 100))],
    ]
    assert metrics_table([record])[0][1] == percent(rate(90, 100))
