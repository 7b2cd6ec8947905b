"""A grid run cell by cell: everything is checked before the first cell starts, and one cell's crash leaves the rest."""

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attacks.errors import ErbenchError, RequestError
from attacks.registry import ATTACKS
from bench.cell import Cell
from bench.datasets.contract import Dataset, LoadRequest
from bench.datasets.registry import load_dataset
from bench.files import require_writable
from bench.fitting import check_detector
from bench.grid import expand
from bench.model_checks import MOST_IMAGES, check_user_model
from bench.pipeline import make_record, run_cell
from bench.record import Record, save_record
from bench.request import Request, resolve
from bench.stations import Clock
from bench.user_model import UserModel, load_user_model
from bench.workspace import Workspace

log = logging.getLogger("erbench")


def plan(values: Mapping[str, Sequence[Any]], workspace: Workspace) -> list[Cell]:
    """Turn listed options into cells, each checked against its data; nothing is written or trained.

    Args:
        values: by option name with underscores, the values asked for (`bench.options`).
        workspace: says where the data are.

    Raises:
        RequestError, DataError: what was asked for does not fit, or its data are missing or damaged.
    """
    requests = expand(values)
    datasets: dict[tuple[Any, ...], Dataset] = {}
    models: dict[tuple[Any, ...], UserModel] = {}
    cells = []
    for request in requests:
        key = (request.dataset, request.image_size, request.channels)
        if key not in datasets:
            datasets[key] = _load(request, workspace)
        user_model = None
        if request.model is not None:
            follows_gradients = ATTACKS.get(request.attack).follows_gradients
            model_key = (request.model, request.weights, key, follows_gradients)
            if model_key not in models:
                models[model_key] = _load_model(request, datasets[key], workspace)
            user_model = models[model_key]
        spec = resolve(request, datasets[key], user_model)
        if workspace.traced and spec.backend != "native":
            raise RequestError(f"--trace looks into our own attacks; {spec.backend}'s steps cannot be seen")
        if spec.detector is not None:
            check_detector(spec.detector, spec.classifier, datasets[key])
        cells.append(Cell(request=request, spec=spec, dataset=datasets[key], user_model=user_model))
    return cells


def _load(request: Request, workspace: Workspace) -> Dataset:
    return load_dataset(
        request.dataset,
        LoadRequest(
            data_dir=workspace.data_dir,
            download=workspace.download,
            image_size=request.image_size,
            channels=request.channels,
            progress=workspace.progress,
        ),
    )


def _load_model(request: Request, dataset: Dataset, workspace: Workspace) -> UserModel:
    """The user's model, checked once on a few test images, so that a failure is told before anything runs."""
    assert request.model is not None
    model = load_user_model(request.model, Path(request.weights) if request.weights else None)
    images = dataset.test.images(slice(MOST_IMAGES))
    follows_gradients = ATTACKS.get(request.attack).follows_gradients
    classes = len(dataset.class_names)
    check_user_model(model.module, images, classes, device=workspace.device, needs_gradients=follows_gradients)
    return model


def sweep(cells: Sequence[Cell], workspace: Workspace) -> Iterator[Record]:
    """Run the cells in order and yield each one's record.

    A single cell's error is raised. Among several, an error becomes a record of status "error", which counts as
    nothing, and the sweep goes on.

    Raises:
        DataError: the results folder cannot be written to.
    """
    require_writable(workspace.results_dir)
    for cell in cells:
        try:
            yield run_cell(cell, workspace)
        except Exception as error:
            if len(cells) == 1:
                raise
            message = str(error) if isinstance(error, ErbenchError) else traceback.format_exc()
            log.error("%s failed: %s", cell.spec.label, message.strip().splitlines()[-1])
            yield _error_record(cell, message, workspace)


def _error_record(cell: Cell, message: str, workspace: Workspace) -> Record:
    record = make_record(cell, workspace, Clock(), status="error", message=message)
    save_record(workspace.run_dir(record.run_id), record, None)
    return record
