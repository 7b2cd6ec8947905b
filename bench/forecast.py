"""How long a sweep may take, told from records of earlier runs in the same folder."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cell import Cell
from bench.fitting import is_fitted
from bench.pipeline import known_record
from bench.record import Record, load_records
from bench.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a cell still needs.

    state: "done", "trained" (its classifier is stored) or "new".
    seconds: how long it may take; None where no record is like it.
    """

    cell: Cell
    state: str
    seconds: float | None


def forecast(cells: Sequence[Cell], workspace: Workspace) -> list[Forecast]:
    """What each cell still needs, in order. A classifier that several cells share is trained in the first of them."""
    records = [record for record in load_records(workspace.results_dir) if record.status == "done"]
    will_be_trained = set()
    found = []
    for cell in cells:
        if known_record(cell, workspace):
            found.append(Forecast(cell=cell, state="done", seconds=0.0))
            continue
        is_ready = cell.user_model is not None or is_fitted(cell.spec.classifier, cell.dataset, workspace)
        trains = not is_ready and cell.spec.classifier not in will_be_trained
        will_be_trained.add(cell.spec.classifier)
        training = _training_seconds(cell, records) if trains else 0.0
        attacking = _attack_seconds(cell, records)
        seconds = None if training is None or attacking is None else training + attacking
        found.append(Forecast(cell=cell, state="trained" if is_ready else "new", seconds=seconds))
    return found


def _training_seconds(cell: Cell, records: Sequence[Record]) -> float | None:
    """The longest fit of the like, which was no reading from the store, scaled to this one's epochs and images."""
    spec = cell.spec.classifier
    like = [
        record.seconds.get("fit", 0.0)
        * spec.n_train
        * spec.config.epochs
        / (known["n_train"] * known["config"]["epochs"])
        for record in records
        if (known := record.spec["classifier"])["name"] == spec.name and known["family"] == spec.family
    ]
    return max(like, default=None)


def _attack_seconds(cell: Cell, records: Sequence[Record]) -> float | None:
    """The same of crafting and judging, scaled to this cell's images and steps."""
    like = [
        sum(record.seconds.get(station, 0.0) for station in ("predict", "craft", "judge"))
        * (_effort(cell.spec.attack_config, cell.spec.n_test))
        / _effort(record.spec["attack_config"], record.spec["n_test"])
        for record in records
        if record.spec["attack"] == cell.spec.attack
        and record.spec["classifier"]["family"] == cell.spec.classifier.family
    ]
    return max(like, default=None)


def _effort(config: object, images: int) -> float:
    """Images times the steps of an attack's config, an object or plain JSON."""
    effort = float(images)
    for name in ("steps", "restarts", "search_steps", "queries"):
        value = config.get(name) if isinstance(config, dict) else getattr(config, name, None)
        effort *= value or 1
    return effort
