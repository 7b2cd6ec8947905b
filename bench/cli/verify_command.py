"""`bench verify`: every outcome of a record judged anew from stored data."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import record_options as given
from bench.cli import run_options as options


def verify_command(
    runs: given.Runs = None,
    archive: Annotated[
        Path | None, typer.Option(help="Verify what is in this archive (`bench store export`).", metavar="FILE")
    ] = None,
    model: given.Model = None,
    weights: given.Weights = None,
    folder: given.Folder = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = Path("data"),
    download: options.Download = False,
    results_dir: options.ResultsDir = Path("results"),
    debug: options.Debug = False,
) -> None:
    """Read weights and images again, check them, judge every outcome anew, and compare.

    Nothing is trained, crafted or believed. Exits with 1 when anything disagrees, with 2 when data are missing.

    Example: bench verify --archive run.zip
    """
    from contextlib import ExitStack

    from attacks.errors import RequestError
    from bench.cli.progress_display import choose_progress
    from bench.cli.verify_output import show_verifications
    from bench.record import find_records
    from bench.storage.needs import store_beside
    from bench.user_models.user_model import load_user_model
    from bench.verification.archive import extract_archive
    from bench.verification.verify import Verifier
    from bench.workspace import Workspace, choose_device

    if weights is not None and model is None:
        raise RequestError("--weights needs --model FILE.py:NAME, which says what they belong to")
    with ExitStack() as stack:
        if archive is not None:
            results_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="erbench-")))
            extract_archive(archive, results_dir)
        folders = find_records(runs or [], results_dir)
        verifier = Verifier(
            workspace=Workspace(
                results_dir=results_dir,
                data_dir=data_dir,
                download=download,
                device=choose_device(device),
                progress=choose_progress(quiet=False),
            ),
            user_model=load_user_model(model, Path(weights) if weights else None) if model else None,
            folder=folder,
        )
        verifications = (verifier.verify(place, store_beside(place, results_dir)) for place in folders)
        raise typer.Exit(show_verifications(verifications))
