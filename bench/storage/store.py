"""The content-addressed store: fitted defenses and crafted images, each under the hash of what made it.

An item is `<kind>/<key>.safetensors` and `<key>.json` beside it, written in this order. The JSON carries the
tensors' checksum and is the mark that the item is complete: a file without it does not exist to the store. Nothing is
ever unpickled.
"""

import json
import logging
import math
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from attacks.errors import DamagedError, DataError, StorageError
from bench.canonical import content_hash, full_hash, plain
from bench.files import sha256_of, write_atomically, write_text
from bench.storage.claims import Claims

FORMAT = 1
log = logging.getLogger("erbench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A stored thing.

    tensors: by name, on the CPU; details: whatever JSON was stored beside them; spec: what it was made from, as JSON.
    """

    tensors: dict[str, Tensor]
    details: dict[str, Any]
    spec: Any


@dataclass(frozen=True, slots=True)
class Store:
    """The store below one folder. patience: seconds that are waited for what another process is making."""

    root: Path
    patience: float = math.inf

    def key(self, kind: str, spec: Any) -> str:
        """The hash that names the item of `kind` made from `spec`."""
        return content_hash({"kind": kind, "format": FORMAT, "spec": spec})

    def load(self, kind: str, key: str) -> Item | None:
        """The item, or None when it is absent. A damaged or foreign one is reported and counts as absent."""
        try:
            return self.read(kind, key)
        except DataError as error:
            log.warning("%s; it is not loaded but made again", error)
            return None

    def read(self, kind: str, key: str) -> Item | None:
        """The item, or None when it is absent.

        Raises:
            DataError: it is of another format; as `DamagedError` when it is not what was stored.
        """
        tensors_path, details_path = self.paths(kind, key)
        if not details_path.exists():
            return None
        try:
            envelope = json.loads(details_path.read_text(encoding="utf-8"))
            if envelope.get("format") != FORMAT:
                raise DataError(f"{details_path} has format {envelope.get('format')}, this version reads {FORMAT}")
            if complaint := self._complaint(envelope, kind, key):
                raise DamagedError(f"{details_path} {complaint}")
            tensors = load_file(tensors_path)
            return Item(tensors=tensors, details=envelope["details"], spec=envelope["spec"])
        except (OSError, ValueError, KeyError, AttributeError, RecursionError, SafetensorError) as error:
            raise DamagedError(f"{details_path} cannot be read ({error})") from error

    def save(self, kind: str, key: str, *, spec: Any, tensors: dict[str, Tensor], details: Any) -> Item:
        """Store an item whole; `DataError` when the folder cannot be written to."""
        tensors_path, details_path = self.paths(kind, key)
        held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_atomically(tensors_path, lambda path: _write_tensors(path, held))
        envelope = {
            "format": FORMAT,
            "kind": kind,
            "sha256": sha256_of(tensors_path),
            "details_sha256": full_hash(details),
            "spec": plain(spec),
            "details": plain(details),
        }
        try:
            write_atomically(details_path, lambda path: write_text(path, json.dumps(envelope, indent=1)))
        except StorageError:
            with suppress(OSError):  # they belong to nothing, and the disk may be full
                tensors_path.unlink(missing_ok=True)
            raise
        return Item(tensors=held, details=envelope["details"], spec=envelope["spec"])

    def remove(self, kind: str, key: str) -> None:
        """Remove an item where there is one: JSON first, so that no half of it is read; `DataError` if that fails."""
        tensors_path, details_path = self.paths(kind, key)
        for path in (details_path, tensors_path):
            try:
                if path.exists():  # a folder that cannot be written to need not be, where there is nothing to remove
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"cannot remove {path}: {error.strerror or error}") from error

    def holds(self, kind: str, key: str) -> bool:
        """Whether there is such an item, damaged or not."""
        return self.paths(kind, key)[1].is_file()

    def once(self, kind: str, key: str, make: Callable[[], Item]) -> Item:
        """The item, made by `make`, which saves it, unless it is there or another process is making it.

        Raises:
            BusyError: another process is making it, for longer than the patience.
        """
        item = None
        with suppress(DataError):  # told below, once
            item = self.read(kind, key)
        if item is None:
            with self.claims.held(f"{kind}-{key}"):
                item = self.load(kind, key) or make()
        return item

    @property
    def claims(self) -> Claims:
        """Who is making what."""
        return Claims(self.root / "claims", self.patience)

    def _complaint(self, envelope: dict[str, Any], kind: str, key: str) -> str:
        """What is wrong with an item; empty when it is what it should be."""
        tensors_path, _ = self.paths(kind, key)
        if envelope["kind"] != kind:
            return f"is one of the {envelope['kind']}"
        if self.key(kind, envelope["spec"]) != key:
            return "holds what another spec made"
        if full_hash(envelope["details"]) != envelope["details_sha256"]:
            return "does not match its checksum"
        if sha256_of(tensors_path) != envelope["sha256"]:
            return f"has tensors ({tensors_path.name}) that do not match their checksum"
        return ""

    def paths(self, kind: str, key: str) -> tuple[Path, Path]:
        """The files of an item: tensors, and the JSON that says it is complete."""
        folder = self.root / kind
        return folder / f"{key}.safetensors", folder / f"{key}.json"


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Fill a file as safetensors; what its library says of a full disk becomes the operating system's error again."""
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise
