"""A run's studio that makes nothing: weights, detector and adversarial images come from the store, by recorded key.

Whatever is found is checked against what the run's spec and the verifier's own dataset ask for.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attacks.errors import DataError, ErbenchError
from bench.canonical import HASH_LENGTH, plain
from bench.crafted import Crafted
from bench.datasets.contract import Dataset
from bench.exhibits import Studio
from bench.fitting import FittedClassifier, FittedDetector
from bench.order import Guard, Order, Victims, chunk_identity
from bench.spec import ClassifierSpec, DetectorSpec
from bench.storage.store import Item, Store
from bench.verification.alike import differing
from defenses.contract import ClassifierEntry, DetectorEntry
from defenses.registry import DEFENSES

GUARD_ROUNDING = 1e-3  # relative and absolute, as of all that follows from set I by other sums
KEY = re.compile(f"[0-9a-f]{{{HASH_LENGTH}}}")


class DisagreementError(ErbenchError):
    """What is stored is not what a record says it is."""

    exit_code = 1


class NotStoredError(DataError):
    """A stored thing that a record needs is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStudio(Studio):
    """Everything images are read with in one run.

    store: where the items are; stored, code: of the record (`bench.record`).
    """

    store: Store
    stored: dict[str, Any]
    code: dict[str, str]

    def fit_detector(self, spec: DetectorSpec) -> FittedDetector:
        """The detector with the recorded key; `DisagreementError` when it is another one, or cannot be used."""
        entry = DEFENSES.get(spec.name)
        assert isinstance(entry, DetectorEntry)
        key = self.stored["detector"]
        item = require_item(self.store, "detectors", key)
        expected = {
            "classifier": self.fitted.key,
            "detector": spec.name,
            "config": plain(spec.config),
            "seed": self.spec.classifier.seed,
            "code": self.code.get("detector"),
        }
        _require_equal(f"detector {key}", item.spec, expected)
        tensors = {name: tensor.to(self.workspace.device) for name, tensor in item.tensors.items()}
        try:
            return FittedDetector(detector=entry.restore(tensors, spec.config), key=key)
        except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
            raise DisagreementError(f"detector {key} is none that {spec.name} can use ({error})") from error

    def craft(self, role: str, order: Order, victims: Victims, *, traced: bool, guard: Guard | None) -> Crafted:
        """The stored adversarial images of the set called `role`, every chunk checked to be of these victims."""
        del traced  # only images are judged
        keys, count, start = self.stored[role], len(victims.sample_ids), 0
        items = []
        for number, key in enumerate(keys, start=1):
            item = require_item(self.store, "crafted", key)
            name = f"chunk {number} of set '{role}' ({key})"
            held = len(item.tensors.get("images", ()))
            part = victims.select(torch.arange(start, min(start + held, count)))
            start += held
            code = self.code.get("attack" if role == "test" else "train_attack")
            told = dict(item.spec) if isinstance(item.spec, dict) else {}
            self._require_same_guard(name, told.pop("guard", None), guard)
            _require_equal(name, told, plain(chunk_identity(order, code, self.fitted, part)))
            _require_images(name, item, part.images)
            items.append(item)
        if start != count:
            raise DisagreementError(f"set '{role}' has {count} images, {start} of them are stored as attacked")
        images = [item.tensors["images"] for item in items] or [victims.images.cpu()]
        vanished = [item.tensors["vanished"] for item in items] or [torch.zeros(0, dtype=torch.bool)]
        device = victims.images.device
        credited = [item.tensors["made_by"] for item in items if "made_by" in item.tensors]
        return Crafted(
            images=torch.cat(images).to(device),
            vanished=torch.cat(vanished),
            made_by=torch.cat(credited) if credited and len(credited) == len(items) else None,
            keys=tuple(keys),
        )

    def _require_same_guard(self, name: str, told: Any, guard: Guard | None) -> None:
        """Raise `DisagreementError` unless images were crafted against the record's detector, to rounding."""
        expected = plain(guard.identity) | {"code": self.code.get("guard")} if guard else {}
        if different := differing(told or {}, expected, relative=GUARD_ROUNDING, absolute=GUARD_ROUNDING):
            parts = ", ".join(different)
            raise DisagreementError(f"{name} was crafted against another detector than the record's: {parts}")


def restore_classifier(
    spec: ClassifierSpec, key: str, store: Store, dataset: Dataset, device: torch.device
) -> FittedClassifier:
    """The classifier with a recorded key; nothing is trained.

    Raises:
        DataError: it is not there.
        DisagreementError: it is another one than `spec` says, or its weights do not fit its network.
    """
    entry = DEFENSES.get(spec.name)
    assert isinstance(entry, ClassifierEntry)
    assert entry.build is not None
    item = require_item(store, "classifiers", key)
    classes = len(dataset.class_names)
    expected = {"spec": plain(spec), "classes": classes, "dataset": dataset.digest}
    told = {name: value for name, value in item.spec.items() if name != "code"} if isinstance(item.spec, dict) else {}
    _require_equal(f"classifier {key}", told, expected)
    network = entry.build(spec.family, classes, spec.config, spec.seed)
    try:
        network.load_state_dict(item.tensors)
    except RuntimeError as error:
        raise DisagreementError(
            f"classifier {key} has weights that do not fit its network ({str(error).splitlines()[0]})"
        ) from error
    network.to(device).eval().requires_grad_(False)
    return FittedClassifier(classifier=network, key=key, history=[])


def require_item(store: Store, kind: str, key: Any) -> Item:
    """A stored thing.

    Raises:
        NotStoredError: it is not there.
        DamagedError: it is not what was stored.
    """
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise DisagreementError(f"the record names one of its {kind} by something that is no key")
    item = store.read(kind, key)
    if item is None:
        raise NotStoredError(f"{kind}/{key} is not in {store.root}; run it again, or ask for an archive that has it")
    return item


def _require_equal(name: str, told: Any, expected: dict[str, Any]) -> None:
    """Raise `DisagreementError` unless a stored thing was made from what it should be, saying what differs."""
    told = told if isinstance(told, dict) else {}
    different = [part for part in sorted(told.keys() | expected.keys()) if told.get(part) != expected.get(part)]
    if different:
        parts = ", ".join(part.replace("_", " ") for part in different)
        raise DisagreementError(f"{name} was made from something else than the record says: {parts}")


def _require_images(name: str, item: Item, clean: Tensor) -> None:
    """Raise `DisagreementError` unless a chunk holds one float32 image and one mark for each clean one."""
    images, vanished = item.tensors.get("images"), item.tensors.get("vanished")
    is_whole = (
        images is not None
        and vanished is not None
        and (images.shape, images.dtype) == (clean.shape, torch.float32)
        and (vanished.shape, vanished.dtype) == ((len(clean),), torch.bool)
    )
    if not is_whole:
        raise DisagreementError(f"{name} does not hold float32 images of shape {tuple(clean.shape)}")
