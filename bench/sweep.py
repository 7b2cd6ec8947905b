"""A grid run cell by cell: everything is checked before the first cell starts, and one cell's crash leaves the rest."""

import logging
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from attacks.errors import ErbenchError, ModelError, RequestError, StorageError
from attacks.registry import ATTACKS
from bench.cell import Cell, cell_names
from bench.datasets.contract import Dataset, LoadRequest
from bench.datasets.registry import load_dataset
from bench.fitting import check_detector
from bench.grid import expand
from bench.pipeline import claim_name, help_with, known_record, make_record, run_cell, run_claimed
from bench.progress import Silent, Task
from bench.record import Record, save_record
from bench.request import Request, resolve
from bench.stations import Clock
from bench.storage.claims import BusyError
from bench.user_models.model_checks import MOST_IMAGES, check_user_model
from bench.user_models.user_model import UserModel, load_user_model
from bench.workspace import Workspace

Datasets = dict[tuple[str, int | None, int | None], Dataset]  # by name, image size and channels
PATIENCE = 60.0  # seconds that one cell is waited for before the others are looked at again
log = logging.getLogger("erbench")


def plan(values: Mapping[str, Sequence[Any]], workspace: Workspace) -> list[Cell]:
    """Turn listed options into cells, each checked against its data; nothing is written or trained.

    Args:
        values: by option name with underscores, the values asked for (`bench.options`).
        workspace: says where the data are.

    Raises:
        RequestError, DataError: what was asked for does not fit, or its data are missing or damaged.
    """
    return plan_requests(expand(values), workspace)


def plan_requests(requests: Sequence[Request], workspace: Workspace, datasets: Datasets | None = None) -> list[Cell]:
    """Turn requests into cells; as `plan`. Datasets that are loaded already are taken from `datasets`, others added."""
    datasets = {} if datasets is None else datasets
    models: dict[tuple[Any, ...], tuple[UserModel, str]] = {}
    cells = []
    for request in requests:
        dataset = load(request.dataset, workspace, datasets, size=request.image_size, channels=request.channels)
        user_model, fault = None, ""
        if request.model is not None:
            follows_gradients = ATTACKS.get(request.attack).follows_gradients
            model_key = (request.model, request.weights, dataset.digest, follows_gradients)
            if model_key not in models:
                models[model_key] = _load_model(request, dataset, workspace)
            user_model, fault = models[model_key]
        spec = resolve(request, dataset, user_model)
        if workspace.traced and spec.backend != "native":
            raise RequestError(f"--trace looks into our own attacks; {spec.backend}'s steps cannot be seen")
        if spec.detector is not None:
            check_detector(spec.detector, spec.classifier, dataset)
        cells.append(Cell(request=request, spec=spec, dataset=dataset, user_model=user_model, fault=fault))
    if cells and all(cell.fault for cell in cells):
        raise ModelError(cells[0].fault)
    return cells


def load(
    name: str, workspace: Workspace, datasets: Datasets, *, size: int | None = None, channels: int | None = None
) -> Dataset:
    """A dataset, its images converted where `size` or `channels` say so; from `datasets`, or added to them."""
    key = (name, size, channels)
    if key not in datasets:
        datasets[key] = load_dataset(
            name,
            LoadRequest(
                data_dir=workspace.data_dir,
                download=workspace.download,
                image_size=size,
                channels=channels,
                progress=workspace.progress,
            ),
        )
    return datasets[key]


def _load_model(request: Request, dataset: Dataset, workspace: Workspace) -> tuple[UserModel, str]:
    """The user's model, checked once on a few test images, so that a failure is told before anything runs.

    Returns:
        The model, and what is wrong with its gradients, which other attacks of the same grid may not need.
    """
    assert request.model is not None
    model = load_user_model(request.model, Path(request.weights) if request.weights else None)
    images = dataset.test.images(slice(MOST_IMAGES))
    follows_gradients = ATTACKS.get(request.attack).follows_gradients
    classes = len(dataset.class_names)
    try:
        check_user_model(model.module, images, classes, device=workspace.device, needs_gradients=follows_gradients)
    except ModelError as error:
        if not follows_gradients:
            raise
        check_user_model(model.module, images, classes, device=workspace.device, needs_gradients=False)
        return model, str(error)
    return model, ""


def sweep(
    cells: Sequence[Cell], workspace: Workspace, *, keep_errors: bool | None = None
) -> Generator[Record, None, None]:
    """Run the cells and yield each one's record as soon as there is one.

    Cells that another process is running, or whose network or images it is making, are left until the others are done;
    then their images are crafted together. So any number of processes may sweep the same cells in the same folder.

    Args:
        cells: from `plan`.
        workspace: where they run.
        keep_errors: an error becomes a record of status "error", which counts as nothing, and the sweep goes on;
            otherwise it is raised. By default only a single cell's error is raised.

    Raises:
        StorageError: the results folder cannot be written to, or is full.
    """
    keeps = len(cells) > 1 if keep_errors is None else keep_errors
    names = cell_names(cells)
    with _cells_task(cells, workspace) as task:
        for record in _in_rounds(cells, workspace, keep_errors=keeps):
            task.advance(f"{names[record.run_id]}: {record.status}")
            yield record


def _in_rounds(cells: Sequence[Cell], workspace: Workspace, *, keep_errors: bool) -> Iterator[Record]:
    """Round after round, what nobody else is at; where nothing is left but what others are at, wait for some of it."""
    left, told = list(cells), False
    clocks = {cell.run_id: Clock() for cell in cells}  # of tries that were given up, too
    hurried, patient = replace(workspace, patience=0.0), replace(workspace, patience=PATIENCE)
    while left:
        others = []  # in other processes' hands, or in need of what is
        for cell in left:
            record = _record_of(cell, hurried, clocks[cell.run_id], keep_errors=keep_errors, told=told)
            if record is None:
                others.append(cell)
            else:
                yield record
        if len(others) == len(left):
            waited_for = others.pop(0)
            record = _record_of(waited_for, patient, clocks[waited_for.run_id], keep_errors=keep_errors, told=True)
            if record is None:
                others.append(waited_for)
            else:
                yield record
        left, told = others, True


def in_order(cells: Sequence[Cell], records: Iterable[Record]) -> list[Record]:
    """Records of a sweep in the order of its cells."""
    by_id = {record.run_id: record for record in records}
    return [by_id[cell.run_id] for cell in cells]


def _cells_task(cells: Sequence[Cell], workspace: Workspace) -> AbstractContextManager[Task]:
    progress = workspace.progress if len(cells) > 1 else Silent()
    return progress.task("cells", len(cells), slow=True)


def _record_of(cell: Cell, workspace: Workspace, clock: Clock, *, keep_errors: bool, told: bool) -> Record | None:
    """A cell's record; None when another process is at it, or at what it needs, for longer than the patience.

    Work done is added to the `clock`. With `told` it is not said again why a record is not taken.
    """
    try:
        if known := known_record(cell, workspace, told=told):
            return known
        if cell.fault:
            raise ModelError(cell.fault)
        with workspace.store.claims.tried(claim_name(cell)) as is_mine:
            if is_mine:
                return known_record(cell, workspace, told=True) or run_claimed(cell, workspace, clock)
        if not workspace.patience:
            return None
        with suppress(ErbenchError):  # whoever has the claim tells it
            help_with(cell, workspace)
        return run_cell(cell, workspace, clock)
    except BusyError:
        return None
    except StorageError:
        raise
    except Exception as error:
        if not keep_errors:
            raise
        message = str(error) if isinstance(error, ErbenchError) else traceback.format_exc()
        log.info("%s failed: %s", cell.spec.label, message.strip().splitlines()[-1])
        return _error_record(cell, message, workspace)


def _error_record(cell: Cell, message: str, workspace: Workspace) -> Record:
    record = make_record(cell, workspace, Clock(), status="error", message=message)
    save_record(workspace.run_dir(record.run_id), record, None)
    return record
