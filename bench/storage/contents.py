"""What lies in a results folder's store: each item in words, who needs it, and what may be removed."""

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from attacks.errors import DataError, RequestError
from bench.storage.needs import needed_items
from bench.storage.store import Store
from bench.storage.words import classifier_of, in_words

NOT_ITEMS = ("answers", "claims", "workers")  # commands answered before, who works on what, and how far
LEFT_OVER_AFTER = 3600.0  # seconds; a younger temporary file may have a living writer
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
log = logging.getLogger("erbench")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """One item. what: in words; bytes: of both its files; age: in seconds; users: how many records need it."""

    kind: str
    key: str
    what: str
    bytes: int
    age: float
    users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A file that a killed writer left. bytes, age in seconds."""

    path: Path
    bytes: int
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """items: by kind and then by age, the youngest first; leftovers: files that belong to nothing."""

    items: list[StoredItem]
    leftovers: list[Leftover]


@dataclass(slots=True)
class _Records:
    """users: how many records need an item, by kind and key; datasets: their names by digest."""

    users: Counter[tuple[str, str]] = field(default_factory=Counter)
    datasets: dict[str, str] = field(default_factory=dict)


def read_contents(results_dir: Path) -> Contents:
    """Everything in the store of a results folder; nothing where there is none."""
    store, now = Store(results_dir / "store"), time.time()
    records = _read_records(results_dir)
    files: dict[tuple[str, str], dict[str, Path]] = {}
    leftovers = [path for path in results_dir.glob("runs/*/.*") if path.is_file()]
    for path in sorted(store.root.glob("*/*")):
        if path.parent.name in NOT_ITEMS or not path.is_file():
            continue
        if path.name.startswith("."):
            leftovers.append(path)
        else:
            files.setdefault((path.parent.name, path.stem), {})[path.suffix] = path
    items = []
    for (kind, key), parts in files.items():
        if {".json", ".safetensors"} <= parts.keys():
            with suppress(FileNotFoundError):  # removed since: a checkpoint that the next one replaced
                items.append(_item(kind, key, list(parts.values()), store, records, now))
        else:
            leftovers += parts.values()
    aged = []
    for path in leftovers:
        with suppress(FileNotFoundError):
            aged.append(Leftover(path=path, bytes=_size([path]), age=_age([path], now)))
    return Contents(
        items=sorted(items, key=lambda item: (item.kind, item.age)),
        leftovers=[leftover for leftover in aged if leftover.age > LEFT_OVER_AFTER],
    )


def chosen(items: Sequence[StoredItem], *, older_than: float | None, unused: bool) -> list[StoredItem]:
    """Items to be removed: those that meet every condition given; none when none is.

    Args:
        items: of a store.
        older_than: seconds since they were made; None sets no such condition.
        unused: only what no record needs.
    """
    if older_than is None and not unused:
        return []
    return [item for item in items if (older_than is None or item.age > older_than) and not (unused and item.users)]


def remove(results_dir: Path, items: Sequence[StoredItem], leftovers: Sequence[Leftover]) -> int:
    """Remove items and files; return how many bytes that freed.

    Raises:
        DataError: somebody is running something in this folder, or the folder is read-only.
    """
    store = Store(results_dir / "store")
    if items:
        _require_quiet(store)
    freed = 0
    for item in items:
        store.remove(item.kind, item.key)
        freed += item.bytes
    for leftover in leftovers:
        try:
            leftover.path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"cannot remove {leftover.path}: {error.strerror or error}") from error
        freed += leftover.bytes
    return freed


def parse_age(text: str) -> float:
    """Seconds: "30d" -> 2,592,000; s, m, h, d or w; `RequestError` for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        raise RequestError(f"--older-than takes a number and s, m, h, d or w, for instance 30d; got '{text}'")
    return float(match[1]) * UNITS[match[2]]


def _require_quiet(store: Store) -> None:
    """Raise `DataError` while anything is being made: what a run has made so far is in no record yet."""
    for path in sorted(store.claims.root.glob("*.lock")):
        with store.claims.tried(path.stem) as is_free:
            if not is_free:
                holder = store.claims.holder(path.stem) or "somebody"
                raise DataError(f"{holder} works on {path.stem} in {store.root}; remove things when that has ended")


def _read_records(results_dir: Path) -> _Records:
    """What the records name, damaged and newer ones included: to keep too much is better than to remove too much."""
    found = _Records()
    for path in results_dir.glob("runs/*/record.json"):
        try:
            body = json.loads(path.read_text(encoding="utf-8"))["record"]
            found.users.update(needed_items(body.get("stored") or {}))
            found.datasets[body["dataset_digest"]] = body["spec"]["dataset"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            log.warning("%s cannot be read (%s); what it needs is not known", path, error)
    return found


def _item(kind: str, key: str, paths: list[Path], store: Store, records: _Records, now: float) -> StoredItem:
    # No record names clean predictions, which are needed as long as their classifier is, nor studies, which are behind
    # artifacts of the paper.
    needed_as = ("classifiers", classifier_of(key, store)) if kind == "logits" else (kind, key)
    return StoredItem(
        kind=kind,
        key=key,
        what=in_words(kind, key, store, records.datasets),
        bytes=_size(paths),
        age=_age(paths, now),
        users=1 if kind == "studies" else records.users[needed_as],
    )


def _size(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _age(paths: Sequence[Path], now: float) -> float:
    return max(0.0, now - max(path.stat().st_mtime for path in paths))
