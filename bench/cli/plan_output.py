"""What `bench run --dry-run` prints: the cells, what is done already, and how long the rest may take."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cell import Cell, cell_names
from bench.forecast import forecast
from bench.workspace import Workspace


def show_plan(cells: Sequence[Cell], workspace: Workspace) -> None:
    """Print one row a cell and the sum; nothing is run or written."""
    forecasts = forecast(cells, workspace)
    names = cell_names(cells)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("cell", "dataset", "state", "time", "run"):
        table.add_column(head, justify="right" if head == "time" else "left")
    for each in forecasts:
        cell = each.cell
        row = (escape(names[cell.run_id]), escape(cell.spec.dataset), each.state, _time(each.seconds), cell.run_id)
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    left = [each for each in forecasts if each.state != "done"]
    known = [each.seconds for each in left if each.seconds is not None]
    total = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}, {len(cells) - len(left)} done"
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
