"""The cells of several artifacts go through one sweep, and an artifact is made as soon as its own are done."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_runs import workspace_in

from attacks.errors import RequestError
from bench.cell import Cell
from bench.executors.driver import Crew
from bench.paper.ahead import Ahead
from bench.paper.contract import ArtifactEntry, PaperRequest
from bench.paper.desk import Desk
from bench.paper.registry import ARTIFACTS
from bench.pipeline import make_record
from bench.record import Record
from bench.stations import Clock
from bench.workspace import Workspace

NAMES = ("table3", "table4", "figure5", "table1")


class MadeUpSweep:
    """Stands for `swept_by`: cells end in the order they are given in."""

    def __init__(self) -> None:
        self.sweeps = 0
        self.cells: list[Cell] = []
        self.ended: list[str] = []
        self.is_closed = False

    def __call__(
        self, crew: Crew, cells: Sequence[Cell], *arguments: Any, **options: Any
    ) -> Generator[Record, None, None]:
        del crew, arguments, options
        self.sweeps += 1
        self.cells = list(cells)
        return self._records()

    def _records(self) -> Generator[Record, None, None]:
        try:
            for cell in self.cells:
                self.ended.append(cell.run_id)
                yield make_record(cell, Workspace(), Clock())
        finally:
            self.is_closed = True


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUpSweep:
    sweep = MadeUpSweep()
    monkeypatch.setattr("bench.paper.ahead.swept_by", sweep)
    return sweep


def with_desks(folder: Path, **options: Any) -> list[tuple[ArtifactEntry, Desk]]:
    request = PaperRequest(seeds=(0, 1), options=options)
    workspace = workspace_in(folder)
    return [(ARTIFACTS.get(name), Desk(artifact=name, request=request, workspace=workspace)) for name in NAMES]


def run_ids(pair: tuple[ArtifactEntry, Desk]) -> set[str]:
    entry, desk = pair
    return {cell.run_id for cell in desk.cells(entry.runs(desk))}


def test_all_cells_go_through_one_sweep_once(tmp_path: Path, made_up: MadeUpSweep) -> None:
    table3, table4, figure5, table1 = pairs = with_desks(tmp_path)
    with Ahead(pairs, Crew(), workspace_in(tmp_path), {}) as ahead:
        assert made_up.ended == []
        ahead.finish("table3")
        assert set(made_up.ended) == run_ids(table3)
        ahead.finish("table3")
        ahead.finish("figure5")
        assert set(made_up.ended) == run_ids(table3) | run_ids(table4) | run_ids(figure5)
        ahead.finish("table1")
        ahead.finish("an artifact that was not given")
    assert run_ids(table1) == set()
    assert made_up.sweeps == 1
    assert len(made_up.ended) == len(set(made_up.ended))
    assert made_up.is_closed


def test_what_is_left_is_not_run_once_the_last_artifact_is_made(tmp_path: Path, made_up: MadeUpSweep) -> None:
    ended: dict[str, Record] = {}
    with Ahead(with_desks(tmp_path), Crew(), workspace_in(tmp_path), ended) as ahead:
        ahead.finish("table3")
    assert made_up.is_closed
    assert list(ended) == made_up.ended
    assert len(made_up.ended) < len(made_up.cells)


def test_a_desk_takes_records_that_have_ended_as_they_are(tmp_path: Path, made_up: MadeUpSweep) -> None:
    workspace, ended = workspace_in(tmp_path), dict[str, Record]()
    entry = ARTIFACTS.get("figure5")
    desk = Desk(artifact="figure5", request=PaperRequest(), workspace=workspace, ended=ended)
    with Ahead([(entry, desk)], Crew(), workspace, ended) as ahead:
        ahead.finish("figure5")
    assert desk.records(entry.runs(desk)) == [ended[cell.run_id] for cell in made_up.cells]
    assert not workspace.results_dir.exists()


@pytest.mark.parametrize(
    ("artifact", "options", "message"),
    [
        ("figure1", {"dims": (-1,)}, "embedding-dim"),
        ("figure4", {"grid": 1}, "--grid must be between"),
        ("theorem1", {"samples": 1}, "--samples must be between"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(
    tmp_path: Path, made_up: MadeUpSweep, artifact: str, options: dict[str, Any], message: str
) -> None:
    workspace = workspace_in(tmp_path)
    entry = ARTIFACTS.get(artifact)
    desk = Desk(artifact=artifact, request=PaperRequest(options=options), workspace=workspace)
    with pytest.raises(RequestError, match=f"^[^:]*{message}"):
        Ahead([(entry, desk)], Crew(), workspace, {})
    with pytest.raises(RequestError, match=f"^{artifact}: .*{message}"):
        Ahead([*with_desks(tmp_path), (entry, desk)], Crew(), workspace, {})
    assert made_up.sweeps == 0
