"""A check of today's tree against a baseline: run every cell, compare, and say which gate closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacks.errors import ErbenchError, RequestError
from bench.canonical import plain
from bench.cell import Cell
from bench.executors.driver import Crew, swept_by
from bench.gate.baseline import chosen_cells, read_baseline, write_baseline
from bench.gate.measured import Measured, measured
from bench.gate.verdicts import LEVEL, Change, compare, require_same_run
from bench.record import Record, load_outcomes
from bench.request import Request
from bench.sweep import in_order, plan, plan_requests
from bench.tables.differences import name_apart
from bench.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCheck:
    """One cell of a check.

    label: no other cell of the check has it; run_id: of its record.
    status: of today's record; message: why it is not "done".
    seconds: all stations of the record together, also when it was made earlier.
    code_changed: parts whose code is other than the baseline's: "attack", "classifier", "detector", "train_attack".
    machine_changed: parts of the machine that are other than the baseline's, with both: "threads 2, here 1".
    changes: one a metric; empty where a cell gave no numbers, or where the baseline does not have it.
    """

    label: str
    run_id: str
    status: str
    message: str
    seconds: float
    code_changed: tuple[str, ...]
    machine_changed: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def fails(self) -> bool:
        """Whether the gate closes here."""
        return self.status != "done" or any(change.fails for change in self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a check found.

    baseline: the file; level: of all tests together; tolerance: as asked for.
    cells: in the baseline's order; updated: the baseline was written anew; notes: sentences for its reader.
    """

    baseline: str
    level: float
    tolerance: float | None
    cells: tuple[CellCheck, ...]
    updated: bool
    notes: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether the gate closes: a regression, or a cell without numbers; an update accepts the former."""
        return any(cell.status != "done" if self.updated else cell.fails for cell in self.cells)


def check(
    baseline: Path,
    workspace: Workspace,
    *,
    values: Mapping[str, Sequence[Any]] | None = None,
    tolerance: float | None = None,
    jobs: int | None = None,
) -> Check:
    """Run, or find, the cells of a baseline and compare them with it.

    Args:
        baseline: the file.
        workspace: where cells run.
        values: by option name, values that choose among the baseline's cells; an option leaves cells alone that do
            not know it. Everything is checked when empty.
        tolerance: see `bench.gate.verdicts.compare`.
        jobs: processes that share the cells; None takes this one.

    Raises:
        RequestError, DataError: the baseline cannot be used, is of other runs than today's, or has no such cell.
    """
    if tolerance is not None and not tolerance >= 0:
        raise RequestError(f"--tolerance must be at least 0, got {tolerance:g}")
    known = chosen_cells(read_baseline(baseline), values or {}, baseline)
    cells = plan_requests([_request(entry, baseline) for entry in known], workspace)
    for cell, entry in zip(cells, known, strict=True):
        require_same_run(entry, plain(cell.spec), cell.run_id, cell.dataset.digest)
    pairs = list(zip(known, _run(cells, workspace, jobs), strict=True))
    return Check(
        baseline=str(baseline),
        level=LEVEL,
        tolerance=tolerance,
        cells=_compared(pairs, tolerance),
        updated=False,
        notes=(),
    )


def update(
    baseline: Path,
    workspace: Workspace,
    *,
    values: Mapping[str, Sequence[Any]] | None = None,
    jobs: int | None = None,
) -> Check:
    """Write a baseline anew from today's runs, and tell what that changes; nothing is written when a cell fails.

    Args:
        baseline: the file, which may be missing or damaged when `values` name the cells.
        workspace: where cells run.
        values: a grid of listed options (`bench.sweep.plan`); the cells of the baseline itself when empty.
        jobs: processes that share the cells; None takes this one.

    Raises:
        RequestError, DataError: the cells are not known, or cannot be run; the file cannot be written.
    """
    try:
        known = read_baseline(baseline)
    except ErbenchError:
        if not values:
            raise
        known = ()
    cells = (
        plan(values, workspace) if values else plan_requests([_request(cell, baseline) for cell in known], workspace)
    )
    today = _run(cells, workspace, jobs)
    by_id = {entry.run_id: entry for entry in known}
    compared = _compared([(by_id.get(record.run_id), (record, now)) for record, now in today], None)
    complete = [now for _, now in today if now is not None]
    is_written = len(complete) == len(today)
    notes = [f"{baseline} is left as it was: a cell gave no numbers"]
    if is_written:
        write_baseline(baseline, complete)
        notes = [f"wrote {baseline}: {len(complete)} cells"]
        notes += _listed("new in it", [cell for cell in complete if cell.run_id not in by_id])
        remaining = {cell.run_id for cell in complete}
        notes += _listed("no longer in it", [cell for cell in known if cell.run_id not in remaining])
    return Check(
        baseline=str(baseline), level=LEVEL, tolerance=None, cells=compared, updated=is_written, notes=tuple(notes)
    )


def _listed(title: str, cells: Sequence[Measured]) -> list[str]:
    return [f"{title}: {', '.join(cell.label for cell in cells)}"] if cells else []


def _request(cell: Measured, baseline: Path) -> Request:
    try:
        return Request(**cell.request)
    except TypeError as error:
        raise RequestError(
            f"the baseline {baseline} asks for what this version does not know ({error}); `bench check --update`"
        ) from error


Outcome = tuple[Record, Measured | None]  # today's record, and its numbers when it has any


def _run(cells: Sequence[Cell], workspace: Workspace, jobs: int | None) -> list[Outcome]:
    records = in_order(cells, swept_by(Crew(jobs=jobs), cells, workspace, keep_errors=True))
    return [
        (record, measured(record, load_outcomes(workspace.run_dir(record.run_id))) if record.status == "done" else None)
        for record in records
    ]


def _compared(pairs: Sequence[tuple[Measured | None, Outcome]], tolerance: float | None) -> tuple[CellCheck, ...]:
    both = [(known, now) for known, (_, now) in pairs if known is not None and now is not None]
    changes = iter(compare(both, tolerance))
    records = [record for _, (record, _) in pairs]
    labels = name_apart([record.label for record in records], [record.spec for record in records])
    return tuple(
        CellCheck(
            label=label,
            run_id=record.run_id,
            status=record.status,
            message=record.message,
            seconds=sum(record.seconds.values()),
            code_changed=() if known is None else _code_changed(known.code, record.code),
            machine_changed=() if known is None or now is None else _machine_changed(known.machine, now.machine),
            changes=tuple(next(changes)) if known is not None and now is not None else (),
        )
        for label, (known, (record, now)) in zip(labels, pairs, strict=True)
    )


def _code_changed(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(part for part in now if then.get(part) != now[part])


def _machine_changed(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{part} {then.get(part)}, here {value}" for part, value in now.items() if then.get(part) != value)
