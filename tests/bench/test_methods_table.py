"""The paper-style table: the paper's cells are Table 3's, ours are made up and read back from each format."""

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

from attacks.fgsm import FgsmConfig
from attacks.registry import ATTACKS
from bench.metrics.rates import rate
from bench.record import Record
from bench.spec import RunSpec
from bench.tables.methods_table import methods_tables, render, row_names, save_latex

Make = Callable[..., Record]


@pytest.fixture
def rows(make_record: Make, spec: RunSpec) -> list[Record]:
    """er1 and er2 on MNIST, trained on fgsm, tested on cw at confidence 9: two rows of Table 3."""
    assert spec.detector is not None
    er2 = make_record(
        defense="er2",
        detector=replace(spec.detector, name="er2"),
        classifier=replace(spec.classifier, config=replace(spec.classifier.config, embedding_dim=13)),  # Table 2
        metrics={"acc_nadv": rate(180, 200), "acc_com": rate(0, 0)},
    )
    return [make_record(), er2]


def test_latex_is_a_booktabs_table_with_ours_beside_the_papers(rows: list[Record]) -> None:
    text = render(methods_tables(rows), "latex")
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule(lr){2-4}\cmidrule(lr){5-6}"):
        assert text.count(rule) == 1
    assert r"\multicolumn{3}{c}{ours} & \multicolumn{2}{c}{paper, Table 3}" in text
    assert "Methods & ACC-NADV & ACC-COM & reached & ACC-NADV & ACC-COM" in text
    # 150 of 200 and 11 of 97: the intervals are checked in test_rates
    assert re.search(
        r"ER1 & 75\.00 \[68\.\d, 80\.\d\] & 11\.34 \[6\.\d, 19\.\d\] & 97/100 & 80\.00 & 100\.00 \\\\", text
    )
    assert re.search(r"ER2 & 90\.00 \[\S+ \S+\] & n/a &  & 83\.00 & 100\.00 \\\\", text)
    assert all(record.run_id in text for record in rows)


def test_latex_escapes_what_it_must(make_record: Make, spec: RunSpec) -> None:
    assert spec.detector is not None
    minus = make_record(
        defense="er1-minus", detector=replace(spec.detector, name="er1-minus"), dataset="folder:a_b&c#50%"
    )
    text = render(methods_tables([minus]), "latex")
    assert r"folder:a\_b\&c\#50\%" in text
    assert r"ER1$^-$ & " in text
    assert r"cw $\kappa$=9" in text
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[%#_]", body)
    odd = make_record(dataset="folder:~/{x}^$\\y")
    assert r"folder:\textasciitilde{}/\{x\}\textasciicircum{}\$\textbackslash{}y" in render(
        methods_tables([odd]), "latex"
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(rows: list[Record], tmp_path: Path) -> None:
    save_latex(tmp_path / "table.tex", rows)
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{table}\end{document}"
    (tmp_path / "main.tex").write_text(document)
    subprocess.run(["pdflatex", "-halt-on-error", "main.tex"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "main.pdf").exists()


def test_markdown_parses_back(rows: list[Record]) -> None:
    text = render(methods_tables(rows), "markdown")
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    assert lines[0] == ["Methods", "ACC-NADV", "ACC-COM", "reached", "ACC-NADV (paper)", "ACC-COM (paper)"]
    cells = {line[0]: [cell.split(" ")[0] for cell in line[1:]] for line in lines[2:]}
    assert cells == {
        "ER1": ["75.00", "11.34", "97/100", "80.00", "100.00"],
        "ER2": ["90.00", "n/a", "", "83.00", "100.00"],
    }
    assert "mnist: trained on fgsm, tested on cw κ=9 (search steps 4, steps 150, learning rate 0.1" in text
    assert "initial c 1.0); protocol sound, recipe quick" in text
    assert "set I 100, set II 100 images" in text


def test_csv_parses_back_to_the_same_numbers(rows: list[Record]) -> None:
    first, second = csv.DictReader(io.StringIO(render(methods_tables(rows), "csv")))
    assert (first["method"], second["method"]) == ("ER1", "ER2")
    assert (first["run"], second["run"]) == (rows[0].run_id, rows[1].run_id)
    numbers = [float(value) for value in first.values() if re.fullmatch(r"[\d.]+", value or "")]
    for expected in (rate(150, 200).value, rate(150, 200).low, rate(150, 200).high, rate(11, 97).value, 0.80, 1.00):
        assert any(number == pytest.approx(expected) for number in numbers), expected


def different(spec: RunSpec) -> list[dict[str, Any]]:
    assert spec.detector is not None
    return [
        {"attack_config": replace(spec.attack_config, confidence=20.0)},
        {"attack_config": replace(spec.attack_config, steps=10)},
        {"attack": "fgsm", "attack_config": FgsmConfig(epsilon=0.3)},
        {"attack": "fgsm", "attack_config": FgsmConfig(epsilon=0.1)},
        {"detector": replace(spec.detector, train_attack="pgd")},
        {"dataset": "cifar10"},
        {"protocol": "paper", "target": "3"},
        {"seed": 1, "classifier": replace(spec.classifier, seed=1)},
        {"n_test": 50},
        {"recipe": "paper"},
    ]


def test_what_differs_in_more_than_the_method_stands_in_tables_of_its_own(make_record: Make, spec: RunSpec) -> None:
    records = [make_record(), *(make_record(**changes) for changes in different(spec))]
    assert all(changes.get("attack", "cw") in ATTACKS for changes in different(spec))
    tables = methods_tables(records)
    assert [len(table.records) for table in tables] == [1] * len(records)
    assert {table.records[0].run_id for table in tables} == {record.run_id for record in records}
    papers = {table.records[0].run_id: table.paper[0] for table in tables}
    assert papers[records[0].run_id] is not None
    assert papers[records[1].run_id] is None  # confidence 20 is not MNIST's in Table 3


def test_without_a_papers_number_there_is_no_papers_column(make_record: Make) -> None:
    (table,) = methods_tables([make_record(dataset="digits")])
    assert not table.has_paper
    assert "paper)" not in render([table], "markdown")
    assert r"\multicolumn" not in render([table], "latex")


def test_bare_classifiers_have_accuracies(make_record: Make) -> None:
    metrics = {"clean_accuracy": rate(9, 10), "robust_accuracy": rate(4, 8)}
    (table,) = methods_tables([make_record(defense="madry", detector=None, metrics=metrics)])
    line = render([table], "markdown").splitlines()[-1]
    assert re.match(r"\| madry +\| +90\.00 \[.*\] \| +50\.00 \[.*\] \|", line)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backend": "foolbox"}, "backend foolbox"),
        ({"precision": "bfloat16"}, "precision bfloat16"),
        ({"target": "random"}, "cw κ=9 →random"),
        ({"image_size": 32, "channels": 1}, "mnist (32 px, 1 channel): "),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_what_is_no_default_is_in_the_caption(make_record: Make, change: dict[str, Any], said: str) -> None:
    plain, other = (table.caption for table in methods_tables([make_record(), make_record(**change)]))
    if said in plain:  # tables are sorted by what they share
        plain, other = other, plain
    assert said in other
    assert said not in plain
    assert "backend native" not in plain
    assert "float32" not in plain


def test_a_method_is_named_with_what_was_asked_of_it(make_record: Make) -> None:
    asked = {"options": {"prior": "cauchy", "adversarial_training": True, "confidence": 9.0, "steps": 150}}
    record = replace(make_record(), request=asked)
    assert list(row_names([record]).values()) == [
        "ER1 (adversarial training, prior cauchy)"
    ]  # the rest is the attack's


def test_classifiers_under_an_attack_without_a_ball_have_distances(make_record: Make) -> None:
    metrics = {"clean_accuracy": rate(9, 10), "robust_accuracy": rate(4, 8), "reached": rate(4, 8), "median_l2": 1.2345}
    bare = {"defense": "standard", "detector": None}
    unbounded = methods_tables([make_record(**bare, metrics=metrics)])
    ball = methods_tables([make_record(**bare, attack="fgsm", attack_config=FgsmConfig(epsilon=0.3), metrics=metrics)])
    assert re.search(r"\| +4/8 +\| +1\.234 \|", render(unbounded, "markdown"))
    assert "reached & median L2" in render(unbounded, "latex")
    assert next(csv.DictReader(io.StringIO(render(unbounded, "csv"))))["median_l2"] == "1.2345"
    assert not any("L2" in render(ball, form) for form in ("markdown", "latex"))
    none = methods_tables([make_record(**bare, metrics=metrics | {"median_l2": None})])
    assert re.search(r"n/a \|$", render(none, "markdown").strip())


def test_unfinished_records_are_in_no_table(make_record: Make) -> None:
    assert methods_tables([make_record(status="error"), make_record(status="not-converged", seed=1)]) == []


def test_rows_of_one_method_are_told_apart_by_what_they_differ_in(rows: list[Record]) -> None:
    def with_prior(record: Record, prior: str) -> Record:
        classifier = record.spec["classifier"]
        config = classifier["config"] | {"prior": prior, "embedding_dim": 4}
        return replace(record, run_id=prior, spec=record.spec | {"classifier": classifier | {"config": config}})

    twins = [with_prior(rows[0], "gaussian"), with_prior(rows[0], "cauchy")]
    assert row_names([*twins, rows[1]]) == {
        "gaussian": "ER1 (prior gaussian)",
        "cauchy": "ER1 (prior cauchy)",
        rows[1].run_id: "ER2",
    }
