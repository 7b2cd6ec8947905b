"""The Python calls behind the command line.

from bench.api import run
(record,) = run(defense="er1", attack="cw", confidence=20)
print(record.rate("acc_com"))
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attacks.errors import RequestError
from attacks.registration import unknown_name
from bench.executors.driver import Crew
from bench.options import OPTIONS, parse_value
from bench.paper.make import Finished, make_artifacts
from bench.paper.options import OWN_OPTIONS, SETTINGS, read_request
from bench.plots.make import plot
from bench.progress import Progress, Silent
from bench.record import Record, find_records, load_records
from bench.sanity.doctor import Diagnosis, diagnose_all
from bench.sweep import in_order, plan, sweep
from bench.user_models.user_model import load_user_model
from bench.verification.verify import Verifier
from bench.workspace import Workspace, choose_batch_size, choose_device


def run(
    *,
    results_dir: str | Path = "results",
    data_dir: str | Path = "data",
    download: bool = False,
    device: str = "auto",
    batch_size: int | None = None,
    trace: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> list[Record]:
    """Run one cell or a grid and return the records, reusing whatever is stored.

    Args:
        results_dir: where records and the store go.
        data_dir: where the datasets are.
        download: fetch missing data.
        device: "auto", "cpu", "cuda" or "cuda:N".
        batch_size: images attacked together; changes no result. None chooses by the device.
        trace: store loss and margin of every step of the attack in `trace.parquet`.
        progress: who is told how far it is; nobody by default.
        **options: the command line's options with underscores, each one value or a list of them, for instance
            `defense=["er1", "kd"], attack="cw", confidence=20`.

    Raises:
        RequestError: an option is unknown, or what was asked for does not fit.
        DataError: data are missing or damaged, or the results folder cannot be written to.
    """
    for name in options:
        if name not in OPTIONS:
            raise RequestError(unknown_name("option", name, list(OPTIONS)))
    values = {
        # read as the command line reads them, so that 9 and 9.0 name one run
        name: [parse_value(name, str(item)) for item in (value if isinstance(value, list | tuple) else [value])]
        for name, value in options.items()
        if value is not None
    }
    places = (results_dir, data_dir, device)
    workspace = _workspace(*places, download=download, progress=progress, batch_size=batch_size, traced=trace)
    cells = plan(values, workspace)
    return in_order(cells, sweep(cells, workspace))


def paper(
    *artifacts: str,
    dataset: str = "digits",
    recipe: str = "quick",
    seeds: int = 3,
    collect: bool = False,
    results_dir: str | Path = "results",
    data_dir: str | Path = "data",
    download: bool = False,
    device: str = "auto",
    jobs: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[Finished]:
    """Make artifacts of the paper and write their files, reusing whatever is stored.

    Args:
        *artifacts: names from `bench list artifacts`, or "all".
        dataset: as the command line takes it.
        recipe: "quick" or "paper".
        seeds: how often everything is repeated.
        collect: compute nothing.
        results_dir: where records, the store and `paper/` go.
        data_dir: where the datasets are.
        download: fetch missing data.
        device: "auto", "cpu", "cuda" or "cuda:N".
        progress: who is told how far it is; nobody by default.
        jobs: processes that share the cells.
        **options: the command line's further options with underscores, one value or, for those that take a list, a
            tuple: `n_test=50, dims=(2, 4)`.

    Returns:
        One an artifact, in order: its table, data, findings, files, or the error that left none of several.

    Raises:
        RequestError, DataError: as for `run`; with one artifact also what it failed of.
    """
    for name in options:
        if name not in (*SETTINGS, *OWN_OPTIONS):
            raise RequestError(unknown_name("option", name, [*SETTINGS, *OWN_OPTIONS]))
    request = read_request(dataset=dataset, recipe=recipe, seeds=seeds, given=options)
    workspace = _workspace(results_dir, data_dir, device, download=download, progress=progress)
    return list(make_artifacts(artifacts, request, workspace, crew=Crew(jobs=jobs), collects=collect))


def doctor(
    *runs: str,
    results_dir: str | Path = "results",
    data_dir: str | Path = "data",
    model: str | None = None,
    weights: str | None = None,
    folder: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Iterator[Diagnosis]:
    """Examine records by every sanity check, and leave `doctor.json` beside each.

    Args:
        *runs: hashes, their first digits, or paths of records; all records when there are none.
        results_dir: where the records and the store are.
        data_dir: where the datasets are.
        model: "FILE.py:NAME" of the user's own model that records are about.
        weights: its weights.
        folder: your copy of the images of records of folder:PATH.
        device: "auto", "cpu", "cuda" or "cuda:N".
        progress: who is told how far it is; nobody by default.

    Returns:
        One diagnosis a record, each when it is done.

    Raises:
        RequestError: a name fits no record, or a single record has no numbers.
        DataError: what a single record needs is missing; the message says what makes it.
    """
    if weights is not None and model is None:
        raise RequestError("--weights needs --model FILE.py:NAME, which says what they belong to")
    verifier = Verifier(
        workspace=_workspace(results_dir, data_dir, device, download=False, progress=progress),
        user_model=load_user_model(model, Path(weights) if weights else None) if model else None,
        folder=Path(folder) if folder else None,
    )
    return diagnose_all(find_records(runs, Path(results_dir)), Path(results_dir), verifier)


def _workspace(
    results_dir: str | Path,
    data_dir: str | Path,
    device: str,
    *,
    download: bool,
    progress: Progress | None,
    batch_size: int | None = None,
    traced: bool = False,
) -> Workspace:
    chosen = choose_device(device)
    return Workspace(
        results_dir=Path(results_dir),
        data_dir=Path(data_dir),
        download=download,
        device=chosen,
        batch_size=choose_batch_size(batch_size, chosen),
        traced=traced,
        progress=progress or Silent(),
    )


__all__ = ["doctor", "load_records", "paper", "plot", "run"]
