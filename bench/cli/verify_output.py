"""What `bench verify` prints: one line a record, what differs below it, and totals."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from bench.cli.printable import printable

if TYPE_CHECKING:
    from bench.verification.verify import Verification

MOST_SHOWN = 10  # problems of one record besides its outcomes, which are ten at most


def show_verifications(verifications: Iterable["Verification"]) -> int:
    """Print records as they are verified; return the exit code: 1 for a disagreement, else 2 for missing data."""
    found = []
    for verification in verifications:
        found.append(verification)
        _show(verification)
    count = {status: sum(one.status == status for one in found) for status in ("agrees", "disagrees", "unverifiable")}
    rows = [one.rejudged.rows for one in found if one.rejudged]
    typer.echo(
        f"{len(found)} record{'' if len(found) == 1 else 's'}: {count['agrees']} verified, "
        f"{count['disagrees']} disagree, {count['unverifiable']} cannot be verified; "
        f"{sum(row.agreed for row in rows)} of {sum(row.rows for row in rows)} outcomes agree"
    )
    if count["disagrees"]:
        return 1
    return 2 if count["unverifiable"] else 0


def _show(verification: "Verification") -> None:
    head = printable(f"{verification.run_id}  {verification.label}".rstrip())
    rejudged = verification.rejudged
    if rejudged is None:
        verdict = {"disagrees": "DISAGREES: ", "unverifiable": "cannot be verified: "}.get(verification.status, "")
        typer.echo(f"{head}: {verdict}{printable(verification.message)}")
        return
    rows = rejudged.rows
    rounded = f" ({rows.rounded} within rounding)" if rows.rounded else ""
    verdict = "DISAGREES: " if rejudged.problems else ""
    typer.echo(
        f"{head}: {verdict}{rows.agreed} of {rows.rows} outcomes agree{rounded}, "
        f"{rejudged.agreed} of {rejudged.metrics} metrics"
    )
    problems = rejudged.problems
    for line in problems[: len(rows.problems) + MOST_SHOWN]:
        typer.echo(f"    {printable(line)}")
    if len(problems) > len(rows.problems) + MOST_SHOWN:
        typer.echo(f"    and {len(problems) - len(rows.problems) - MOST_SHOWN} more")
    for line in rejudged.remarks:
        typer.echo(f"    note: {printable(line)}")
