"""What the harness's tests share: hand-made records, the program called in this process, and one small finished run."""

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_runs import CLASSIFICATION, DETECTION, ER, Ended, Finished

from bench.api import run
from bench.canonical import plain
from bench.metrics.rates import rate
from bench.record import Record, load_outcomes
from bench.spec import RunSpec
from bench.sweep import plan
from bench.workspace import Workspace


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("ERBENCH_RESULTS", raising=False)
    monkeypatch.delenv("ERBENCH_DATA", raising=False)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    results_dir = tmp_path_factory.mktemp("results")
    detectors = run(results_dir=results_dir, **ER) + run(results_dir=results_dir, defense=["kd", "lid"], **DETECTION)
    classifiers = run(results_dir=results_dir, **CLASSIFICATION)
    records = {record.spec["defense"]: record for record in detectors}
    records |= {record.spec["attack"]: record for record in classifiers}
    outcomes = {name: load_outcomes(results_dir / "runs" / record.run_id) for name, record in records.items()}
    return Finished(results_dir, records, outcomes)


@pytest.fixture
def stored(finished: Finished, tmp_path: Path) -> Path:
    """A results folder with the store of the finished runs and no records."""
    shutil.copytree(finished.results_dir / "store", tmp_path / "results" / "store")
    return tmp_path / "results"


@pytest.fixture(scope="session")
def spec() -> RunSpec:
    """A complete spec of a detector's run, never run: er1 trained on fgsm against cw at confidence 9."""
    values = {"defense": ["er1"], "attack": ["cw"], "confidence": [9.0]}
    (cell,) = plan(values, Workspace(results_dir=Path("nowhere")))
    return cell.spec


@pytest.fixture
def make_record(spec: RunSpec) -> Callable[..., Record]:
    """A finished record with made-up counts; keyword arguments replace parts of its spec or its metrics."""

    def make(*, metrics: dict[str, Any] | None = None, status: str = "done", **changes: Any) -> Record:
        changed = replace(spec, **({"dataset": "mnist"} | changes))
        made_up = {"acc_nadv": rate(150, 200), "acc_com": rate(11, 97), "reached": rate(97, 100), "auroc": 0.5}
        return Record(
            run_id=changed.run_id("digest"),
            status=status,
            message="" if status == "done" else "why",
            label=changed.label,
            spec=plain(changed),
            dataset_digest="digest",
            metrics=plain(made_up if metrics is None else metrics) if status == "done" else {},
            training=[],
            detector={},
            notes=[],
            seconds={},
            provenance={"created": "2024-01-01T00:00:00+00:00"},
            command="bench run",
        )

    return make


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ended]]:
    """The program in this process: `bench("run", "--defense", "kd")`."""
    from bench.cli import main

    def call(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return Ended(int(end.value.code or 0), captured.out, captured.err)

    before = signal.getsignal(signal.SIGTERM)
    yield call
    signal.signal(signal.SIGTERM, before)
