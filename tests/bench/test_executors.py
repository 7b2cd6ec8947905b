"""Sweeps by several workers: the same records as one process makes, each thing made once, lost workers replaced."""

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
import torch
from small_runs import BASELINE, CLASSIFICATION, cells_of, workspace_in

from attacks.errors import RequestError
from bench import crafting, fitting
from bench.code_version import program_version
from bench.embedding import twin_of
from bench.executors.contract import Job
from bench.executors.driver import Crew, swept_by
from bench.executors.local import LocalWorkers
from bench.executors.reports import Reports, clear_reports, read_reports
from bench.executors.worker import work
from bench.pipeline import claim_name, run_cell, run_claimed
from bench.record import Record, load_outcomes
from bench.stations import Clock
from bench.storage.claims import BusyError
from bench.sweep import in_order, sweep
from bench.workspace import Workspace

CHUNKS = {"n_test": 120}  # three
GRID = [
    BASELINE | CHUNKS | {"defense": "kd", "attack": "fgsm", "n_fit": 20},
    CLASSIFICATION | CHUNKS | {"attack": ["pgd", "noise"]},
]


def outcomes_of(workspace: Workspace, records: list[Record]) -> list[pd.DataFrame]:
    return [load_outcomes(workspace.run_dir(record.run_id)) for record in records]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[pd.DataFrame]]:
    """What one process makes of the grid."""
    workspace = workspace_in(tmp_path_factory.mktemp("alone"))
    cells = cells_of(workspace, *GRID)
    return outcomes_of(workspace, in_order(cells, sweep(cells, workspace)))


def assert_same(found: list[pd.DataFrame], expected: list[pd.DataFrame]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def sweep_and_tell(folder: Path, first: int) -> None:
    """A process's sweep of the grid, from cell `first` on; a line in a file for everything it makes."""
    train, craft = fitting._train, crafting._craft

    def tell(*words: object) -> None:
        with (folder / "made").open("a") as file:
            file.write(" ".join(map(str, words)) + "\n")

    def told_train(entry: Any, *arguments: Any) -> Any:
        tell("trained", entry.name)
        return train(entry, *arguments)

    def told_craft(order: Any, fitted: Any, chunks: Any, *arguments: Any, **options: Any) -> Any:
        for chunk in chunks:
            tell("crafted", order.attack, chunk.sample_ids.tolist())
        return craft(order, fitted, chunks, *arguments, **options)

    torch.set_num_threads(1)
    with (
        mock.patch.object(fitting, "_train", told_train),
        mock.patch.object(crafting, "_craft", told_craft),
    ):
        workspace = workspace_in(folder)
        cells = cells_of(workspace, *GRID)
        for record in sweep(cells[first:] + cells[:first], workspace):
            tell("ended", record.run_id)


def test_two_sweeps_of_one_folder_make_each_thing_once(tmp_path: Path, undisturbed: list[pd.DataFrame]) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=sweep_and_tell, args=(tmp_path, first)) for first in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0, 0]
    told = [line for line in (tmp_path / "made").read_text().splitlines() if not line.startswith("ended")]
    assert len(told) == len(set(told))
    assert {line.split()[0] for line in told} == {"trained", "crafted"}
    workspace = workspace_in(tmp_path)
    cells = cells_of(workspace, *GRID)
    assert_same(outcomes_of(workspace, in_order(cells, sweep(cells, workspace))), undisturbed)


@pytest.mark.parametrize("kind", ["run", "classifiers", "crafted"])
def test_a_cell_that_others_are_at_comes_after_those_that_nobody_is_at(tmp_path: Path, kind: str) -> None:
    workspace = workspace_in(tmp_path)
    first, second = cells_of(workspace, BASELINE | {"defense": "standard", "attack": "noise", "seed": [0, 1]})
    stored = run_cell(first, workspace).stored
    key = {"run": first.run_id, "classifiers": stored["classifier"], "crafted": stored["test"][0]}[kind]
    workspace.store.remove(kind, key)
    shutil.rmtree(workspace.run_dir(first.run_id))
    with workspace.store.claims.held(f"{kind}-{key}"):
        records = sweep([first, second], workspace)
        assert next(records).run_id == second.run_id
    assert [record.run_id for record in records] == [first.run_id]


def test_a_twin_is_trained_while_another_process_trains_its_network(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    (cell,) = cells_of(workspace, {"defense": "er-classifier", "attack": "noise", "n_train": 400, "epochs": 1})
    spec = cell.spec.classifier
    twin = twin_of(spec)
    assert twin is not None
    claim = f"classifiers-{workspace.store.key('classifiers', fitting._classifier_identity(spec, cell.dataset))}"
    with workspace.store.claims.held(claim), pytest.raises(BusyError):
        run_claimed(cell, replace(workspace, patience=0))
    assert fitting.is_fitted(twin, cell.dataset, workspace)
    assert not fitting.is_fitted(spec, cell.dataset, workspace)


def test_whoever_waits_looks_at_other_cells_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.sweep.PATIENCE", 0.1)
    workspace = workspace_in(tmp_path)
    first, second = cells_of(workspace, BASELINE | {"defense": "standard", "attack": "noise", "seed": [0, 1]})
    claims, freed = workspace.store.claims, ExitStack()
    with claims.held(claim_name(first)):
        freed.enter_context(claims.held(claim_name(second)))
        threading.Timer(1.0, freed.close).start()
        records = sweep([first, second], workspace)
        assert next(records).run_id == second.run_id
    (last,) = records
    assert last.run_id == first.run_id


def test_the_time_of_a_try_that_was_given_up_counts(tmp_path: Path) -> None:
    workspace, clock = workspace_in(tmp_path), Clock()
    (cell,) = cells_of(workspace, BASELINE | {"defense": "standard", "attack": "noise", "seed": 0, "n_test": 20})
    (key,) = run_claimed(cell, workspace_in(tmp_path / "elsewhere")).stored["test"]
    with workspace.store.claims.held(f"crafted-{key}"), pytest.raises(BusyError):
        run_claimed(cell, replace(workspace, patience=0), clock)
    trained = clock.seconds["fit"]
    assert trained > 0
    assert run_claimed(cell, workspace, clock).seconds["fit"] > trained


def test_local_workers_make_the_same_records_also_when_one_is_lost(
    tmp_path: Path, undisturbed: list[pd.DataFrame], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = workspace_in(tmp_path)
    cells = cells_of(workspace, *GRID)
    started: list[LocalWorkers] = []

    class Watched(LocalWorkers):
        def __init__(self, jobs: Any) -> None:
            super().__init__(jobs)
            started.append(self)

    monkeypatch.setattr("bench.executors.driver.LocalWorkers", Watched)

    def kill_one_at_work() -> None:
        deadline = time.monotonic() + 60
        while not list((workspace.results_dir / "store").glob("crafted/*.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        victim = started[0]._processes[0].pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill_one_at_work)
    killer.start()
    records = in_order(cells, swept_by(Crew(jobs=2, cpus=1), cells, workspace))
    killer.join(60)
    assert_same(outcomes_of(workspace, records), undisturbed)
    assert "worker 1 was lost (signal 9) and is started again" in caplog.text
    assert not any(process.is_alive() for process in started[0]._processes)
    leftovers = [path for path in (workspace.results_dir / "store" / "claims").iterdir() if path.suffix == ".lock"]
    assert len(leftovers) <= 2  # of the killed one


def test_a_failed_cell_is_tried_by_one_worker_and_ends_as_an_error(tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text(
        "import torch\nfrom torch import nn\n\n\nclass Fragile(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.layer = nn.Linear(784, 10)\n\n"
        "    def forward(self, images):\n        if len(images) > 32:\n            raise ValueError('too many')\n"
        "        return self.layer(images.flatten(1))\n"
    )
    workspace = workspace_in(tmp_path)
    cells = cells_of(workspace, {"model": f"{model}:Fragile", "attack": ["fgsm", "pgd"], "n_test": 40})
    records = in_order(cells, swept_by(Crew(jobs=2, cpus=1), cells, workspace))
    assert [record.status for record in records] == ["error", "error"]
    assert "too many" in records[0].message


def test_a_worker_with_other_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.executors.driver.program_version", lambda: "0123456789abcdef")
    workspace = workspace_in(tmp_path)
    cells = cells_of(workspace, *GRID)
    message = rf"has other code \({program_version()}\) than the driver \(0123456789abcdef\)"
    with pytest.raises(RequestError, match=message):
        list(swept_by(Crew(jobs=2, cpus=1), cells, workspace))


def test_a_finished_grid_starts_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = workspace_in(tmp_path)
    cells = cells_of(workspace, CLASSIFICATION)
    first = in_order(cells, sweep(cells, workspace))

    def refuse(_jobs: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("bench.executors.driver.LocalWorkers", refuse)
    assert in_order(cells, swept_by(Crew(jobs=2), cells, workspace)) == first


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"jobs": 0}, "--jobs must be at least 1"),
        ({"cpus": 0.0}, "--cpus-per-job must be above 0"),
        ({"gpus": 0.5}, "--gpus-per-job are for --executor ray"),
        ({"address": "host:1"}, "--ray-address and --gpus-per-job are for --executor ray"),
        ({"executor": "rya"}, "unknown executor 'rya'; did you mean 'ray'"),
    ],
)
def test_crews_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Crew(**values)


def test_a_worker_runs_where_its_job_says(tmp_path: Path, undisturbed: list[pd.DataFrame]) -> None:
    workspace = workspace_in(tmp_path)
    cells = cells_of(workspace, *GRID)
    job = Job(
        requests=tuple(cell.request for cell in cells),
        folder=Path.cwd(),
        results_dir=workspace.results_dir,
        data_dir=workspace.data_dir,
        device="cpu",
        threads=1,
        batch_size=None,
        traced=False,
        started=workspace.started,
        code=program_version(),
        number=1,
    )
    work(job)
    records = in_order(cells, sweep(cells, workspace))
    assert_same(outcomes_of(workspace, records), undisturbed)
    with pytest.raises(RequestError, match="other code"):
        work(replace(job, code="other"))


def test_workers_say_what_they_are_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.executors.reports.EVERY", 0.0)
    assert read_reports(tmp_path) == []
    for number in (10, 2):
        with Reports(tmp_path, number).task(f"crafting {number}", 3) as task:
            task.advance()
    assert read_reports(tmp_path) == ["crafting 2 1/3", "crafting 10 1/3"]
    clear_reports(tmp_path)
    assert read_reports(tmp_path) == []
