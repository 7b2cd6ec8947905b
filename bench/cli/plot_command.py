"""`bench plot`: records of detectors as pictures."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import record_options as given
from bench.cli import run_options as options


def plot_command(
    picture: Annotated[
        str,
        typer.Argument(
            help="roc: ROC curves. scores: histograms of what detectors say. budget: success by budget.",
            metavar="roc|scores|budget",
        ),
    ],
    runs: given.Runs = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to; plots in the results folder when left out.")
    ] = None,
    results_dir: options.ResultsDir = Path("results"),
    debug: options.Debug = False,
) -> None:
    """Draw detectors under attacks that know nothing of them and attacks that do, as PNG and PDF.

    Example: bench plot roc --out pictures
    """
    del debug  # read by `main`, before any command runs
    from bench.plots.make import plot

    for path in plot(picture, *(runs or []), results_dir=results_dir, out=out):
        typer.echo(f"wrote {path}")
