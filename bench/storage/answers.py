"""Commands that were answered before: a finished grid asked for again is read from its records, without PyTorch.

What a command means follows from its options, the program's own files, the files of the data and the versions of what
reads them. All these together name a note that lists the command's runs; a note is only taken while every one of its
records is whole and finished. Files are known by size and time of change, as make and git know them.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from attacks.errors import DataError
from bench.canonical import content_hash
from bench.files import write_atomically, write_text
from bench.record import Record, load_record

GROUPS = ("erbench.attacks", "erbench.defenses", "erbench.datasets")
PROGRAM = ("attacks", "bench", "defenses")
READERS = ("torch", "torchvision", "scikit-learn", "numpy", "pillow")
MOST_FILES = 20_000  # of a dataset; counting more takes longer than reading them anew
TOLD = ("done", "not-converged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that asks for a grid.

    values: by option name with underscores, the values asked for; their order is that of the cells.
    settings: every other option that the command checks, as it was given.
    results_dir, data_dir: as in `bench.workspace.Workspace`.
    """

    values: Mapping[str, Sequence[Any]]
    settings: Mapping[str, Any]
    results_dir: Path
    data_dir: Path

    def answer(self) -> list[Record] | None:
        """The command's records, in order; None unless it was answered before and nothing has changed since."""
        note = self._note()
        if note is None:
            return None
        try:
            runs = json.loads(note.read_text())["runs"]
        except (OSError, ValueError, KeyError):
            return None
        records = [load_record(self.results_dir / "runs" / run) for run in runs]
        found = [record for record in records if record is not None and record.status in TOLD]
        return found if len(found) == len(runs) else None

    def remember(self, records: Sequence[Record]) -> None:
        """Note the records that answer the command, unless one of them failed."""
        note = self._note()
        if note is None or not all(record.status in TOLD for record in records):
            return
        text = json.dumps({"runs": [record.run_id for record in records]})
        with suppress(DataError):  # without it the next time takes seconds longer
            write_atomically(note, lambda path: write_text(path, text))

    def _note(self) -> Path | None:
        """Where the command's note lies; None for commands that more decides than can be told from files."""
        if self.values.get("model") or any(entry_points(group=group) for group in GROUPS):
            return None
        data = [_stamps_of(name, self.data_dir) for name in self.values.get("dataset", ["digits"])]
        if None in data:
            return None
        root = Path(__file__).parents[2]
        meaning = {
            "values": [[name, [repr(value) for value in listed]] for name, listed in self.values.items()],
            "settings": {name: str(value) for name, value in self.settings.items()},
            "program": [_stamp(path) for package in PROGRAM for path in _files(root / package, "*.py")],
            "data": data,
            "versions": {name: _version(name) for name in READERS},
        }
        return self.results_dir / "store" / "answers" / f"{content_hash(meaning)}.json"


def _stamps_of(dataset: str, data_dir: Path) -> list[list[Any]] | None:
    """The files that a dataset may be read from; None when they are too many."""
    if dataset == "digits":  # part of scikit-learn
        return []
    folder = Path(dataset.removeprefix("folder:")) if dataset.startswith("folder:") else data_dir
    stamps: list[list[Any]] = []
    for path in _files(folder, "*"):
        stamps.append(_stamp(path))
        if len(stamps) > MOST_FILES:
            return None
    return stamps


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(base) / name for name in sorted(names) if Path(name).match(pattern))


def _stamp(path: Path) -> list[Any]:
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
