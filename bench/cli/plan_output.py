"""What `bench run --dry-run` prints: the cells, what is done already, and how long the rest may take."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.canonical import plain
from bench.cell import Cell
from bench.forecast import forecast
from bench.tables.differences import name_apart
from bench.workspace import Workspace

STATES = {"done": "done", "trained": "trained", "new": "new"}


def show_plan(cells: Sequence[Cell], workspace: Workspace) -> None:
    """Print one row a cell and the sum; nothing is run or written."""
    forecasts = forecast(cells, workspace)
    names = name_apart([cell.spec.label for cell in cells], [plain(cell.spec) for cell in cells])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("cell", "dataset", "state", "time", "run"):
        table.add_column(head, justify="right" if head == "time" else "left")
    for name, each in zip(names, forecasts, strict=True):
        table.add_row(
            escape(name), escape(each.cell.spec.dataset), STATES[each.state], _time(each.seconds), each.cell.run_id
        )
    console = Console(highlight=False)
    console.print(table)
    left = [each for each in forecasts if each.state != "done"]
    known = [each.seconds for each in left if each.seconds is not None]
    total = f"{len(cells)} cells, {len(cells) - len(left)} done"
    if left:
        total += f"; the rest may take {_time(sum(known))}" if known else "; no record tells how long the rest may take"
        if known and len(known) < len(left):
            total += f" and what the {len(left) - len(known)} cells take that no record here is like"
    console.print(total, soft_wrap=True)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
