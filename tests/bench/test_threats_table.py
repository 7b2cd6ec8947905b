"""Oblivious beside adaptive: which runs belong together, every number read back from each format, the sentence."""

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_runs import Ended, assert_refused

from attacks.pgd import PgdConfig
from bench.canonical import plain
from bench.metrics.rates import Rate, rate
from bench.record import Record, save_record
from bench.spec import RunSpec
from bench.tables.detector_runs import detector_runs
from bench.tables.threat_sentences import sentence
from bench.tables.threats_table import render_threats, threats_tables

Make = Callable[..., Record]
PGD = {"attack": "pgd", "attack_config": PgdConfig(epsilon=0.3, step_size=0.01, steps=40, until="end")}


def metrics(flagged: int, past: int, n: int = 100) -> dict[str, Rate | float]:
    return {
        "acc_nadv": rate(190, 200),
        "acc_com": rate(flagged, n),
        "auroc": 0.75,
        "tpr_at_1_fpr": rate(flagged // 2, n),
        "tpr_at_5_fpr": rate(flagged, n),
        "success_rate_at_5_fpr": rate(past, n),
        "reached": rate(n, max(n, 100)),
        "median_l2": 1.25,
    }


def aware(record: Record) -> Record:
    return replace(record, detector={"threat": "adaptive"})


@pytest.fixture
def records(make_record: Make, spec: RunSpec) -> list[Record]:
    """er1 under cw (kappa 9) and pgd and under two that know it; er2 under cw, from before threats were told."""
    assert spec.detector is not None
    return [
        make_record(metrics=metrics(95, 2, 97)),
        aware(make_record(**PGD | {"attack": "pgd-selective"}, metrics=metrics(3, 96))),
        make_record(**PGD, metrics=metrics(99, 1)),
        aware(make_record(attack="cw-detector", metrics=metrics(1, 60))),
        make_record(defense="er2", detector=replace(spec.detector, name="er2"), metrics=metrics(100, 0)),
    ]


def test_runs_that_differ_in_the_attack_alone_belong_to_one_detector(
    records: list[Record], make_record: Make, spec: RunSpec
) -> None:
    assert spec.detector is not None
    counted = replace(spec.detector, counted="all")  # follows from the attack's confidence
    more = make_record(**PGD | {"attack": "match"}, detector=counted, metrics=metrics(5, 5))
    er1, er2 = detector_runs([*records, aware(more), make_record(status="error", seed=3)])
    assert [record.spec["attack"] for record in er1.oblivious] == ["cw", "pgd"]
    assert [record.spec["attack"] for record in er1.adaptive] == ["pgd-selective", "cw-detector", "match"]
    assert (er1.name, er2.name) == ("ER1", "ER2")
    assert (len(er2.oblivious), len(er2.adaptive)) == (1, 0)


def test_what_differs_beyond_the_attack_is_another_detector_and_is_named(make_record: Make, spec: RunSpec) -> None:
    assert spec.detector is not None
    others: list[dict[str, Any]] = [
        {"detector": replace(spec.detector, train_attack="pgd")},
        {"seed": 1},
        {"classifier": replace(spec.classifier, config=replace(spec.classifier.config, embedding_dim=13))},
    ]
    found = detector_runs([make_record(), *(make_record(**change) for change in others)])
    assert [len(each.records) for each in found] == [1, 1, 1, 1]
    assert len({each.name for each in found}) == 4
    assert "train attack pgd" in found[1].name
    assert "seed 1" in found[2].name
    assert "embedding dim 13" in found[3].name
    same, attacked = make_record(), make_record(**PGD)
    assert [each.name for each in detector_runs([same, attacked])] == ["ER1"]  # attacks set no detector apart


def test_the_strongest_attack_is_the_one_that_gets_past_most_often(records: list[Record]) -> None:
    er1, er2 = detector_runs(records)
    strongest = er1.strongest("adaptive")
    assert strongest is not None
    assert strongest.spec["attack"] == "pgd-selective"  # 96 past it; cw-detector is flagged less, but fools less
    assert er2.strongest("adaptive") is None


def test_a_rate_over_the_few_images_that_reached_a_confidence_is_no_strength(
    records: list[Record], make_record: Make
) -> None:
    few = metrics(0, 5, 5)  # 5 of 5, of 100 attacked
    (detector,) = detector_runs([*records[:4], aware(make_record(attack="match", metrics=few))])
    strongest = detector.strongest("adaptive")
    assert strongest is not None
    assert strongest.spec["attack"] == "pgd-selective"


def test_the_sentence(records: list[Record]) -> None:
    (table,) = threats_tables(records)
    er1, er2 = (sentence(detector, table.attacks) for detector in table.detectors)
    assert er1 == (
        "ER1 flags 98 % of 97 oblivious (cw κ=9) and 3 % of 100 adaptive (pgd-selective) examples at 5 % false alarms; "
        "2 % and 96 % mislead the classifier unnoticed"
    )
    assert er2 == (
        "ER2 flags 100 % of 100 oblivious (cw κ=9) examples at 5 % false alarms; 0 % mislead the classifier unnoticed; "
        "no run of an adaptive attack beside it"
    )


@pytest.mark.parametrize(
    ("flagged", "n", "told"),
    [(1, 400, "0.2 %"), (399, 400, "99.8 %"), (0, 400, "0 %"), (3, 4, "75 %"), (9999, 10000, "99.9 %")],
)
def test_nearly_nothing_is_not_nothing(make_record: Make, flagged: int, n: int, told: str) -> None:
    (table,) = threats_tables([make_record(metrics=metrics(flagged, 0, n))])
    assert f"ER1 flags {told} of {n} oblivious" in sentence(table.detectors[0], table.attacks)


def test_without_examples_nothing_is_flagged(make_record: Make) -> None:
    (table,) = threats_tables([make_record(metrics={"acc_nadv": rate(1, 2), "tpr_at_5_fpr": rate(0, 0)})])
    assert "ER1 flags none of 0 oblivious" in sentence(table.detectors[0], table.attacks)
    assert "n/a" in render_threats([table], "markdown")


def test_markdown_has_a_row_a_detector_and_attack(records: list[Record]) -> None:
    text = render_threats(threats_tables(records), "markdown")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    cells = [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    assert [(row["Detector"], row["Threat"], row["Attack"]) for row in cells] == [
        ("ER1", "oblivious", "cw κ=9"),
        ("ER1", "oblivious", "pgd"),
        ("ER1", "adaptive", "pgd-selective"),
        ("ER1", "adaptive", "cw-detector κ=9"),
        ("ER2", "oblivious", "cw κ=9"),
    ]
    first, third = cells[0], cells[2]
    assert first["ACC-NADV"].startswith("95.0 [91.0, 97.3]")  # 190 of 200, Wilson
    assert first["n"] == "200 + 97"
    assert first["reached"].startswith("97/100 [")
    assert first["median L2"] == "1.250"
    assert re.fullmatch(r"0\.750 \[0\.6\d\d, 0\.8\d\d\]", first["AUROC"])
    assert third["TPR at 1 % FPR"].startswith("1.0 [")
    assert third["TPR at 5 % FPR"].startswith("3.0 [")
    assert third["attack success at 5 % FPR"].startswith("96.0 [")
    assert "- pgd-selective: epsilon 0.3, " in text
    assert "- cw κ=9: search steps 4, " in text
    assert all(record.run_id in text for record in records)


def test_latex_has_the_threats_side_by_side(records: list[Record]) -> None:
    text = render_threats(threats_tables(records), "latex")
    assert r"\textbf{ER1} & \multicolumn{2}{c}{oblivious} & \multicolumn{2}{c}{adaptive} \\" in text
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}" in text
    assert r" & cw $\kappa$=9 & pgd & pgd-selective & cw-detector $\kappa$=9 \\" in text
    assert r"\textbf{ER2} & \multicolumn{1}{c}{oblivious} \\" in text
    (success,) = re.findall(r"attack success at 5 \\% FPR (& .*?) \\\\", text)[:1]
    assert [cell.split()[0] for cell in success.split("&")[1:]] == ["2.1", "1.0", "96.0", "60.0"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_of_threats_compiles(records: list[Record], tmp_path: Path) -> None:
    (tmp_path / "threats.tex").write_text(render_threats(threats_tables(records), "latex"), encoding="utf-8")
    packages = r"\documentclass{article}\usepackage{booktabs,graphicx}"
    (tmp_path / "main.tex").write_text(packages + r"\begin{document}\input{threats}\end{document}")
    subprocess.run(["pdflatex", "-halt-on-error", "main.tex"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "main.pdf").exists()


def test_csv_is_unrounded(records: list[Record]) -> None:
    rows = list(csv.DictReader(io.StringIO(render_threats(threats_tables(records), "csv"))))
    by_run = {row["run"]: row for row in rows}
    assert len(by_run) == len(records)
    for record in records:
        for name in ("acc_nadv", "acc_com", "tpr_at_1_fpr", "tpr_at_5_fpr", "success_rate_at_5_fpr", "reached"):
            value, row = record.rate(name), by_run[record.run_id]
            assert value is not None
            assert [float(row[f"{name}{end}"]) for end in ("", "_low", "_high", "_n")] == pytest.approx(
                [value.value, value.low, value.high, value.n]
            )
    assert [row["threat"] for row in rows].count("adaptive") == 2


def test_what_is_shared_stands_in_tables_of_its_own(records: list[Record], make_record: Make) -> None:
    tables = threats_tables([*records, make_record(dataset="digits"), make_record(detector=None)])
    assert sorted(len(table.records) for table in tables) == [1, 5]
    assert {table.caption.split(":")[0] for table in tables} == {"digits", "mnist"}
    assert all("tested on" not in table.caption for table in tables)


def test_what_a_sanity_flag_makes_doubtful_is_marked_and_named(records: list[Record]) -> None:
    flag = {"name": "won-by-flagging", "sentence": "s", "advice": "a", "spoils": ["acc_com", "tpr_at_5_fpr"]}
    flagged = [replace(records[0], flags=[flag]), *records[1:]]
    text = render_threats(threats_tables(flagged), "markdown")
    (row,) = [line for line in text.splitlines() if re.match(r"\| ER1 +\| oblivious +\| cw", line)]
    cells = [cell.strip() for cell in row.strip("|").split("|")][3:]
    assert [cell.endswith(" (!)") for cell in cells] == [False, True, False, False, True, False, False, False, False]
    assert text.count("(!)") == 3
    assert "- (!) sanity flags of ER1 under cw κ=9: won-by-flagging\n" in text
    assert "(!) sanity flags of ER1 under cw" in render_threats(threats_tables(flagged), "latex")
    rows = csv.DictReader(io.StringIO(render_threats(threats_tables(flagged), "csv")))
    assert [row["flags"] for row in rows] == ["won-by-flagging", "", "", "", ""]
    assert "(!)" not in render_threats(threats_tables(records), "markdown")


def save(records: list[Record], results: Path) -> None:
    for record in records:
        save_record(results / "runs" / record.run_id, replace(record, spec=plain(record.spec)), None)


@pytest.mark.usefixtures("in_an_empty_folder")
def test_the_command(records: list[Record], make_record: Make, tmp_path: Path, bench: Callable[..., Ended]) -> None:
    save(records, tmp_path / "results")
    place = ("--results-dir", str(tmp_path / "results"))
    shown = bench("table", "--by", "threat", *place)
    assert shown.code == 0
    assert "ER1 flags 98 % of 97 oblivious" in shown.out
    one = bench("table", records[-1].run_id[:8], "--by", "threat", *place).out
    assert "ER1" not in one
    written = bench("table", "--by", "threat", "--format", "latex", "--out", str(tmp_path / "t.tex"), *place)
    assert written.out == f"wrote {tmp_path / 't.tex'}\n"
    assert r"\multicolumn{2}{c}{adaptive}" in (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert "| Methods" in bench("table", *place).out
    assert_refused(bench("table", "--by", "treat", *place), "did you mean 'threat'?", "method")
    save([make_record(detector=None), make_record(status="error", seed=5)], tmp_path / "other")
    other = ("--results-dir", str(tmp_path / "other"))
    assert_refused(bench("table", "--by", "threat", *other), "none of the finished records is of a detector")
    save([make_record(status="error", seed=5)], tmp_path / "failed")
    assert_refused(bench("table", "--by", "threat", "--results-dir", str(tmp_path / "failed")), "no finished records")
