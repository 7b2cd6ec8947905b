"""Stored things in words, read off the specs that they were made from."""

import json
from collections.abc import Mapping
from typing import Any

from bench.storage.store import Store

KINDS = ("classifiers", "detectors", "crafted", "logits", "checkpoints", "studies")


def in_words(kind: str, key: str, store: Store, datasets: Mapping[str, str]) -> str:
    """What an item is: "standard on digits, seed 0".

    Args:
        kind: of the item.
        key: of the item.
        store: where it is.
        datasets: names by digest; a dataset without one is called by its family of networks.
    """
    try:
        return _WORDS[kind](_spec_of(store, kind, key), store, datasets)
    except (KeyError, TypeError, AttributeError, ValueError):
        return "cannot be read"


def classifier_of(key: str, store: Store) -> str:
    """The key of the classifier that clean predictions are of; empty when they cannot be read."""
    spec = _spec_of(store, "logits", key)
    return str(spec.get("classifier", "")) if isinstance(spec, dict) else ""


def _spec_of(store: Store, kind: str, key: str) -> Any:
    try:
        return json.loads(store.paths(kind, key)[1].read_text(encoding="utf-8"))["spec"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _classifier(spec: Any, store: Store, datasets: Mapping[str, str]) -> str:
    del store
    own = spec["spec"]
    return f"{own['name']} on {datasets.get(spec['dataset'], own['family'])}, seed {own['seed']}"


def _of_classifier(key: str, store: Store, datasets: Mapping[str, str]) -> str:
    spec = _spec_of(store, "classifiers", key)
    return f"of {_classifier(spec, store, datasets)}" if spec else "of a model that is not stored"


def _detector(spec: Any, store: Store, datasets: Mapping[str, str]) -> str:
    return f"{spec['detector']} {_of_classifier(spec['classifier'], store, datasets)}"


def _crafted(spec: Any, store: Store, datasets: Mapping[str, str]) -> str:
    order = spec["order"]
    confidence = order["config"].get("confidence")
    attack = f"{order['attack']} κ={confidence:g}" if confidence else order["attack"]
    count = len(spec["sample_ids"])
    return f"{attack}, {count} images, {_of_classifier(spec['classifier'], store, datasets)}"


def _logits(spec: Any, store: Store, datasets: Mapping[str, str]) -> str:
    return f"clean predictions {_of_classifier(spec['classifier'], store, datasets)}"


def _checkpoint(spec: Any, store: Store, datasets: Mapping[str, str]) -> str:
    return f"training of {_classifier(spec['classifier'], store, datasets)}"


def _study(spec: Any, store: Store, datasets: Mapping[str, str]) -> str:
    del store
    dataset = datasets.get(spec["identity"].get("dataset", ""), "")
    return f"{spec['study']} of {dataset}" if dataset else str(spec["study"])


_WORDS = dict(zip(KINDS, (_classifier, _detector, _crafted, _logits, _checkpoint, _study), strict=True))
