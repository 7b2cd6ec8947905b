"""Trainings that end without a usable model: what is kept of them, and what becomes of the artifacts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import Ended

from attacks.errors import NotConvergedError
from bench.fitting import fit_classifier
from bench.options import parse_value
from bench.record import load_records
from bench.sweep import plan
from bench.workspace import Workspace

Bench = Callable[..., Ended]
HARDLY = {"n-train": "150", "epochs": "2", "train-learning-rate": "1e-9", "n-test": "5"}  # learns nothing
WORDS = tuple(word for name, value in HARDLY.items() for word in (f"--{name}", value))


def test_a_failed_training_leaves_its_epochs(bench: Bench, tmp_path: Path) -> None:
    place = ("--results-dir", str(tmp_path))
    assert bench("run", "--defense", "er-classifier", "--attack", "fgsm", *WORDS, *place).code == 1
    (record,) = load_records(tmp_path)
    assert record.status == "not-converged"
    assert [epoch["epoch"] for epoch in record.training] == [1, 2]
    losses = record.training[0]["losses"]
    assert losses["cross_entropy"] == pytest.approx(2.3, abs=0.3)  # ln 10, of guessing among ten classes
    workspace = Workspace(results_dir=tmp_path)
    hardly = {name.replace("-", "_"): [parse_value(name.replace("-", "_"), value)] for name, value in HARDLY.items()}
    (cell,) = plan({"defense": ["er-classifier"], "attack": ["fgsm"]} | hardly, workspace)
    with pytest.raises(NotConvergedError) as raised:
        fit_classifier(cell.spec.classifier, cell.dataset, workspace)
    assert raised.value.history == record.training


def test_an_artifact_without_any_number_is_not_written(bench: Bench, tmp_path: Path) -> None:
    ended = bench(
        "paper", "figure3", "--seeds", "1", "--epsilons", "0.1", *WORDS, "--results-dir", str(tmp_path), "--quiet"
    )
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(
        "error: none of the 3 runs of figure3 gave numbers: training er-classifier did not converge"
    )
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "paper").exists()


def test_one_that_fails_leaves_the_others(bench: Bench, tmp_path: Path) -> None:
    ended = bench("paper", "theorem1", "table1", "--seeds", "1", *WORDS, "--results-dir", str(tmp_path), "--quiet")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("error: theorem1: training er-classifier did not converge")
    assert {path.stem for path in (tmp_path / "paper").rglob("*.md")} == {"table1"}
    assert "table1: Parameters" in ended.out


def test_what_is_missing_and_what_failed_are_both_told(bench: Bench, tmp_path: Path) -> None:
    place = ("--results-dir", str(tmp_path), "--quiet")
    assert bench("paper", "theorem1", "--seeds", "1", *WORDS, *place).code == 1
    ended = bench("paper", "theorem1", "figure3", "--seeds", "1", *WORDS, "--collect", *place)
    assert ended.code == 2
    assert "error: theorem1: training er-classifier did not converge" in ended.err
    assert "things are missing; --collect computes nothing" in ended.err
