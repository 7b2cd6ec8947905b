"""`bench table`: records as paper-style tables."""

from pathlib import Path
from typing import Annotated

import typer


def table_command(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Run hashes, or their first digits; all records when left out.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="method, or threat: detectors under attacks that know nothing of them and that do.")
    ] = "method",
    form: Annotated[str, typer.Option("--format", help="markdown, latex or csv.")] = "markdown",
    results_dir: Annotated[Path, typer.Option(help="Where the records are.", envvar="ERBENCH_RESULTS")] = Path(
        "results"
    ),
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of the screen.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write Methods x (ACC-NADV, ACC-COM), ours beside the paper's numbers where it has them.

    Example: bench table --by threat --format latex --out threats.tex
    """
    del debug  # read by `main`, before any command runs
    from attacks.errors import RequestError
    from attacks.registration import unknown_name
    from bench.files import write_atomically, write_text
    from bench.record import load_records
    from bench.tables.methods_table import FORMATS, methods_tables, render
    from bench.tables.threats_table import render_threats, threats_tables

    if form not in FORMATS:
        raise RequestError(unknown_name("format", form, list(FORMATS)))
    if by not in ("method", "threat"):
        raise RequestError(unknown_name("way to sort a table", by, ["method", "threat"]))
    records = load_records(results_dir)
    for run in runs or []:
        if not any(record.run_id.startswith(run) for record in records):
            raise RequestError(f"no record {run} under {results_dir / 'runs'}")
    chosen = [record for record in records if not runs or record.run_id.startswith(tuple(runs))]
    if not any(record.status == "done" for record in chosen):
        raise RequestError(f"no finished records under {results_dir / 'runs'}; `bench run` makes some")
    if by == "threat" and not any(record.status == "done" and record.spec["detector"] for record in chosen):
        raise RequestError(
            "none of the finished records is of a detector; `bench run --defense kd,lid,er1,er2` makes some"
        )
    text = render_threats(threats_tables(chosen), form) if by == "threat" else render(methods_tables(chosen), form)
    if out is None:
        typer.echo(text)
    else:
        write_atomically(out, lambda path: write_text(path, text))
        typer.echo(f"wrote {out}")
