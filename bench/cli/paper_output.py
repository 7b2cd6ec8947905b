"""What `bench paper` prints: each artifact's tables, findings and files, and what is missing or failed."""

from collections.abc import Sequence

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.paper.contract import Column, Entry, PaperTable
from bench.paper.make import Finished, missing_of
from bench.paper.missing import MissingError

PADDING = 3  # of a column of rich's


def show_artifact(finished: Finished) -> None:
    """Print one artifact, or why there is none; a table wider than the terminal is cut into one a group of columns."""
    if finished.error is not None and not isinstance(finished.error, MissingError):
        typer.echo(f"error: {finished.entry.name}: {finished.error}", err=True)
    if finished.made is None:
        return
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(f"[bold]{escape(finished.entry.name)}[/bold]: {escape(finished.made.title)}")
        for part in _parts(finished.made.table, console.width):
            console.print(part)
        for finding in finished.made.findings:
            console.print(f"[dim]·[/dim] {escape(finding)}", soft_wrap=not console.is_terminal)
        for file in finished.files:
            console.print(f"  {escape(str(file))}", soft_wrap=True, style="dim")
    print(captured.get(), flush=True)  # not by the console, which would write over the bars of what still runs


def show_missing(finished: Sequence[Finished]) -> int:
    """Tell what several artifacts are missing; return the exit code, of those that failed too."""
    code = max((each.error.exit_code for each in finished if each.error is not None), default=0)
    if missing := missing_of(finished):
        typer.echo(f"error: {missing}", err=True)
        code = missing.exit_code
    return code


def _parts(table: PaperTable, width: int) -> list[Table]:
    """The table whole where it fits, else the columns that name its rows beside as many others as fit, part by part."""
    numbers = list(range(len(table.columns)))
    leading, rest = numbers[: table.names], numbers[table.names :]
    parts: list[list[int]] = []
    for number in rest:
        joins = parts and _width(table, [*leading, *parts[-1], number]) <= width
        if joins:
            parts[-1].append(number)
        else:
            parts.append([number])
    return [_as_rich(table, [*leading, *part]) for part in parts]


def _as_rich(table: PaperTable, numbers: Sequence[int]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, number in enumerate(numbers):
        shown.add_column(escape(_head(table.columns[number])), justify="left" if place == 0 else "right")
    for block in table.blocks:
        for row in block:
            shown.add_row(*(_shown(row[number]) for number in numbers))
        shown.add_section()
    return shown


def _width(table: PaperTable, numbers: Sequence[int]) -> int:
    rows = [row for block in table.blocks for row in block]
    widths = []
    for number in numbers:
        texts = [*_head(table.columns[number]).split("\n"), *(row[number].text for row in rows)]
        widths.append(max(map(len, texts)) + PADDING)
    return sum(widths)


def _head(column: Column) -> str:
    return "\n".join([*column.groups, column.title])


def _shown(entry: Entry) -> str:
    text = escape(entry.text)
    return f"[bold]{text}[/bold]" if entry.bold else text
