"""Trainings under way: what an epoch leaves, kept in the store until the classifier itself is there.

A checkpoint is an ordinary item of the store: the tensors of a nested state as safetensors, the rest of it as JSON.
Two places take turns, so that the last whole checkpoint stays until the next one is whole.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attacks.errors import DataError
from bench.progress import Task
from bench.storage.store import Store
from defenses.training.contract import EpochSummary
from defenses.training.state import State

KIND = "checkpoints"
PLACES = 2
log = logging.getLogger("erbench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """The checkpoints of one training.

    store: where they are kept.
    identity: of the classifier that is trained. It names the code's version, so other code's checkpoints are not found.
    device: that it is trained on. Another kind's checkpoints are refused: what came of them would be neither's.
    """

    store: Store
    identity: dict[str, Any]
    device: torch.device

    def load(self) -> State | None:
        """The state after the last finished epoch, None without; what is there but cannot be used is reported."""
        found = [checkpoint for place in range(PLACES) if (checkpoint := self._load(place)) is not None]
        return max(found, key=lambda checkpoint: checkpoint[0])[1] if found else None

    def save(self, epoch: int, state: State) -> None:
        """Keep the state after an epoch in place of the one before; `DataError` when it cannot be written."""
        place = epoch % PLACES
        skeleton, tensors = flattened(state)
        details = {"epoch": epoch, "made_by": self._maker, "state": skeleton}
        self.store.remove(KIND, self._key(place))  # half an item is then none, where a half-replaced one is damaged
        self.store.save(KIND, self._key(place), spec=self._spec(place), tensors=tensors, details=details)
        self.store.remove(KIND, self._key((epoch + 1) % PLACES))

    def remove(self) -> None:
        """Remove what the training left; where that cannot be it is said, and nothing else depends on it."""
        try:
            for place in range(PLACES):
                self.store.remove(KIND, self._key(place))
        except DataError as error:
            log.warning("%s", error)

    def _load(self, place: int) -> tuple[int, State] | None:
        """Epoch and state of one place."""
        key = self._key(place)
        item = self.store.load(KIND, key)
        if item is None:
            return None
        try:
            maker, epoch = item.details["made_by"], int(item.details["epoch"])
            state = unflattened(item.details["state"], item.tensors)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("checkpoint %s cannot be read (%r); it is not used", key, error)
            return None
        if maker != self._maker:
            log.warning("checkpoint %s was made by %s, not by %s; it is not used", key, maker, self._maker)
            return None
        return epoch, state

    @property
    def _maker(self) -> str:
        return f"PyTorch {torch.__version__} on {self.device.type}"

    def _spec(self, place: int) -> dict[str, Any]:
        return {"classifier": self.identity, "place": place}

    def _key(self, place: int) -> str:
        return self.store.key(KIND, self._spec(place))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointJournal:
    """The journal of a training whose epochs are kept in `checkpoints` and shown as steps of `task`."""

    checkpoints: Checkpoints
    task: Task

    def resume(self) -> State | None:
        """What the last finished epoch left."""
        return self.checkpoints.load()

    def epoch_done(self, summary: EpochSummary, state: State | None) -> None:
        """Keep the epoch, unless it comes from a checkpoint, and show it."""
        if state is None:
            self.task.advance("taken from the checkpoint")
            return
        self.checkpoints.save(summary.epoch, state)
        losses = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in summary.losses.items())
        self.task.advance(f"accuracy {summary.accuracy:.1%}, {losses}")


def flattened(state: State) -> tuple[Any, dict[str, Tensor]]:
    """A state as JSON, in which names stand for the tensors, and the tensors by these names.

    Raises:
        TypeError: the state holds something that is no dict, list, tensor, number, string or None.
    """
    tensors: dict[str, Tensor] = {}

    def walk(value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Tensor):
            name = f"{len(tensors)}:{'/'.join(path)}"
            tensors[name] = value
            return {"tensor": name}
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {"items": {key: walk(item, (*path, key)) for key, item in value.items()}}
        if isinstance(value, list | tuple):
            return [walk(item, (*path, str(index))) for index, item in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            return {"number": repr(value)}  # JSON has none of these
        if value is None or isinstance(value, str | bool | int | float):
            return value
        raise TypeError(f"a training's state holds a {type(value).__name__} at {'/'.join(path)}, which cannot be kept")

    return walk(state, ()), tensors


def unflattened(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The state that `flattened` took apart; its tuples are lists now.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: these are no parts of a state.
    """
    if isinstance(skeleton, list):
        return [unflattened(item, tensors) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    ((kind, content),) = skeleton.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "number":
        return float(content)
    return {key: unflattened(item, tensors) for key, item in content.items()}
