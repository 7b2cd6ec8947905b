"""Which stored things a record needs, read off what it says of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.storage.store import Store

KINDS = {
    "classifier": "classifiers",
    "unregularized": "classifiers",
    "detector": "detectors",
    "test": "crafted",
    "fit": "crafted",
}


def needed_items(stored: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(kind, key) of everything that `Record.stored` names, without repetitions."""
    items = [
        (KINDS[name], str(key))
        for name, keys in stored.items()
        if name in KINDS
        for key in (keys if isinstance(keys, list) else [keys])
    ]
    return list(dict.fromkeys(items))


def store_beside(folder: Path, results_dir: Path) -> Store:
    """The store that the record in `folder` was made with, or, where there is none beside, that of `results_dir`."""
    beside = folder.parent.parent / "store"
    return Store(beside if beside.is_dir() else results_dir / "store")
