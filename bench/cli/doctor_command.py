"""`bench doctor`: every sanity check on a record."""

from pathlib import Path

import typer

from bench.cli import record_options as given
from bench.cli import run_options as options


def doctor_command(
    runs: given.Runs = None,
    model: given.Model = None,
    weights: given.Weights = None,
    folder: given.Folder = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = Path("data"),
    results_dir: options.ResultsDir = Path("results"),
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Look for known ways to overstate robustness: cheap checks and attacks of a record's model on 50 images.

    Nothing is trained. It leaves doctor.json beside the record; tables mark what it flags. Exits with 1 when anything
    is flagged, with 2 when data are missing.

    Example: bench doctor d55387e0
    """
    from bench.api import doctor
    from bench.cli.doctor_output import show_diagnoses
    from bench.cli.progress_display import choose_progress

    diagnoses = doctor(
        *(runs or []),
        results_dir=results_dir,
        data_dir=data_dir,
        model=model,
        weights=weights,
        folder=folder,
        device=device,
        progress=choose_progress(quiet=quiet),
    )
    raise typer.Exit(show_diagnoses(diagnoses))
