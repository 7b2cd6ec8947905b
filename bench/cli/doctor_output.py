"""What `bench doctor` prints: one table a record, and what to do about each flag."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.printable import printable

if TYPE_CHECKING:
    from bench.sanity.doctor import Diagnosis
    from bench.sanity.examine import Verdict

MOST_NAMED = 10  # images of one flag


def show_diagnoses(diagnoses: Iterable["Diagnosis"]) -> int:
    """Print records as they are examined; return the exit code: 1 when any of them is flagged."""
    console = Console(highlight=False)
    found = [_shown(console, diagnosis) for diagnosis in diagnoses]
    flagged = sum(one.is_flagged for one in found)
    examined = sum(not one.message for one in found)
    console.print(f"{examined} record{'' if examined == 1 else 's'} examined, {flagged} flagged")
    if flagged:
        return 1
    return 2 if any(one.message for one in found) else 0


def _shown(console: Console, diagnosis: "Diagnosis") -> "Diagnosis":
    head = escape(printable(f"{diagnosis.run_id}  {diagnosis.label}".rstrip()))
    if diagnosis.message:
        console.print(f"{head}: cannot be examined: {escape(printable(diagnosis.message))}", soft_wrap=True)
        return diagnosis
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("check", "verdict", "evidence"):
        table.add_column(title, overflow="fold", no_wrap=title == "check")
    for verdict in diagnosis.verdicts:
        table.add_row(verdict.check, verdict.status, escape(printable(_evidence(verdict))))
    console.print(head, style="bold")
    console.print(table)
    for verdict in diagnosis.verdicts:
        if verdict.flag:
            told = f"{verdict.flag.name}: {verdict.flag.advice}"
            console.print(escape(printable(told)), soft_wrap=not console.is_terminal)
    console.print(escape(printable(str(diagnosis.path))), soft_wrap=True)
    return diagnosis


def _evidence(verdict: "Verdict") -> str:
    if verdict.flag is None:
        return verdict.why
    images = verdict.flag.images
    more = f" and {len(images) - MOST_NAMED} more" if len(images) > MOST_NAMED else ""
    named = f" (test images {', '.join(map(str, images[:MOST_NAMED]))}{more})" if images else ""
    return f"{verdict.flag.sentence}{named}"
