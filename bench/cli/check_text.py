"""What a check found, for people: what changed, one line a cell, and what to do."""

import io
import shutil

from rich import box
from rich.console import Console
from rich.table import Table

from bench.gate.check import CellCheck, Check
from bench.gate.measured import MeasuredNumber, MeasuredRate
from bench.gate.verdicts import DROPPED, IMPROVED, WEAKER_ATTACK, Change
from bench.tables.metrics_table import percent

ROUNDING = 0.0005  # changes below it are not shown: three digits are


def as_text(check: Check) -> str:
    """A table of the metrics that changed beyond rounding, a line a cell, a summary, and how to update."""
    screen = io.StringIO()
    console = Console(file=screen, highlight=False, markup=False, width=max(100, shutil.get_terminal_size().columns))
    rows = [(cell, change) for cell in check.cells for change in cell.changes if _is_shown(change)]
    if rows:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in ("cell", "metric", "baseline", "today", "test", "p (Holm)", "verdict"):
            table.add_column(title)
        for cell, change in rows:
            table.add_row(
                cell.label,
                change.title,
                written(change.before),
                written(change.after),
                change.test,
                "" if change.p is None else f"{change.p:.2g}",
                _verdict(change),
            )
        console.print(table)
    for cell in check.cells:
        console.print(_cell_line(cell, is_updated=check.updated), soft_wrap=True)
    console.print()
    for line in (summary(check), *_rules(check), *check.notes, *how_to_update(check)):
        console.print(line, soft_wrap=True)
    return screen.getvalue().rstrip("\n")


def _is_shown(change: Change) -> bool:
    return change.fails or change.verdict == IMPROVED or abs(change.difference or 0.0) > ROUNDING


def written(entry: MeasuredRate | MeasuredNumber | None) -> str:
    """A metric with its n, a rate with its interval too."""
    if isinstance(entry, MeasuredRate):
        return percent(entry.rate)
    return "n/a" if entry is None or entry.value is None else f"{entry.value:.3f} n={entry.n}"


def _verdict(change: Change) -> str:
    return f"{change.verdict} (by {change.decided_by})" if change.decided_by else change.verdict


def change_line(cell: CellCheck, change: Change) -> str:
    """One metric of one cell in a sentence, with the test that decided."""
    p = "" if change.p is None else f", p = {change.p:.2g} after Holm"
    line = (
        f"{change.title} {_verdict(change)}: {written(change.before)} in the baseline, {written(change.after)} today; "
        f"{change.test}{p}"
    )
    return f"{line}; {_code(cell)}" if change.fails else line


def _code(cell: CellCheck) -> str:
    if cell.code_changed:
        what = (
            f"code that changed since the baseline: {', '.join(part.replace('_', ' ') for part in cell.code_changed)}"
        )
    else:
        what = "the code of attack and defense is the baseline's"
    if not cell.machine_changed:
        return what
    return (
        f"{what}; the baseline is of another machine, which trains to other weights ({'; '.join(cell.machine_changed)})"
    )


def why(cell: CellCheck) -> str:
    """The last line of what a cell without numbers says."""
    return cell.message.strip().splitlines()[-1] if cell.message.strip() else cell.status


def _cell_line(cell: CellCheck, *, is_updated: bool) -> str:
    if cell.status != "done":
        return f"FAIL  {cell.label}: no numbers ({cell.status}): {why(cell)}"
    counts = {
        verdict: sum(change.verdict == verdict for change in cell.changes)
        for verdict in (DROPPED, WEAKER_ATTACK, IMPROVED)
    }
    told = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    if not cell.changes:
        return f"new   {cell.label}: not in the baseline before"
    ending = f"; {_code(cell)}" if cell.fails else ""
    sign = "FAIL" if cell.fails and not is_updated else "ok  "
    found = ", ".join(told) or "none changed beyond chance"
    return f"{sign}  {cell.label}: {len(cell.changes)} metrics, {found}{ending}"


def summary(check: Check) -> str:
    """The whole check in a sentence."""
    changes = [change for cell in check.cells for change in cell.changes]
    failed = sum(change.fails for change in changes)
    broken = sum(cell.status != "done" for cell in check.cells)
    improved = sum(change.verdict == IMPROVED for change in changes)
    return (
        f"{len(check.cells)} cells, {len(changes)} metrics against {check.baseline}: {failed} regressions, "
        f"{broken} cells without numbers, {improved} improvements"
    )


def _rules(check: Check) -> list[str]:
    beyond = "" if check.tolerance is None else f", or when it is larger than {check.tolerance:g}"
    tests = sum(change.p is not None for cell in check.cells for change in cell.changes)
    rules = [
        f"a change counts when p < {check.level:g} after Holm's correction for {tests} tests{beyond}",
    ]
    if any(change.verdict == WEAKER_ATTACK for cell in check.cells for change in cell.changes):
        rules.append(
            "attack weaker? a defense of the same spec withstands more, or the attack achieves less: taken for a fault "
            "of the attack until the baseline is updated"
        )
    return rules


def how_to_update(check: Check) -> list[str]:
    """What to do about changes that are meant."""
    if check.updated or not any(change.decided_by for cell in check.cells for change in cell.changes):
        return []
    return [f"if the change is meant: bench check --update --baseline {check.baseline}, and commit the file"]
