"""Commands that were answered before: a finished grid asked for again is read from its records, without PyTorch.

What a command means follows from its options, the program's own files, the files of the data and the versions of what
reads them. All these together name a note that lists the command's runs; a note is only taken while every one of its
records is whole and finished. Files are known by size and time of change, as make and git know them.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from attacks.errors import DataError
from bench.canonical import content_hash
from bench.code_version import program_files
from bench.files import write_atomically, write_text
from bench.record import Record, load_record

GROUPS = ("erbench.attacks", "erbench.defenses", "erbench.datasets")
READERS = ("torch", "torchvision", "scikit-learn", "numpy", "pillow")
MOST_FILES = 20_000  # of a dataset; counting more takes longer than reading them anew
TOLD = ("done", "not-converged")


def note_of(
    values: Mapping[str, Sequence[Any]], settings: Mapping[str, Any], *, results_dir: Path, data_dir: Path
) -> Path | None:
    """Where the note of a command lies, as things are now; None when more decides than can be told from files.

    To be asked before the command runs: what is changed while it runs must not be taken for what it was run with.

    Args:
        values: by option name with underscores, the values asked for; their order is that of the cells.
        settings: every other option that the command checks, as it was given.
        results_dir: see `bench.workspace.Workspace`.
        data_dir: likewise.
    """
    if values.get("model") or any(entry_points(group=group) for group in GROUPS):
        return None
    data = [_stamps_of(name, data_dir) for name in values.get("dataset", ["digits"])]
    if None in data:
        return None
    meaning = {
        "values": [[name, [repr(value) for value in listed]] for name, listed in values.items()],
        "settings": {name: str(value) for name, value in settings.items()},
        "program": [_stamp(path) for path in program_files()],
        "data": data,
        "versions": {name: _version(name) for name in READERS},
    }
    return results_dir / "store" / "answers" / f"{content_hash(meaning)}.json"


def answer(note: Path, results_dir: Path) -> list[Record] | None:
    """The records that a note lists, in order; None when there is no note, or a record is not whole and finished."""
    try:
        runs = json.loads(note.read_text())["runs"]
    except (OSError, ValueError, KeyError):
        return None
    records = [load_record(results_dir / "runs" / run) for run in runs]
    found = [record for record in records if record is not None and record.status in TOLD]
    return found if len(found) == len(runs) else None


def remember(note: Path, records: Sequence[Record]) -> None:
    """Write the note of a command that was answered by `records`, unless one of them failed."""
    if not all(record.status in TOLD for record in records):
        return
    text = json.dumps({"runs": [record.run_id for record in records]})
    with suppress(DataError):  # without it the next time takes seconds longer
        write_atomically(note, lambda path: write_text(path, text))


def _stamps_of(dataset: str, data_dir: Path) -> list[list[Any]] | None:
    """The files that a dataset may be read from; None when they are too many."""
    if dataset == "digits":  # part of scikit-learn
        return []
    folder = Path(dataset.removeprefix("folder:")) if dataset.startswith("folder:") else data_dir
    stamps: list[list[Any]] = []
    for path in _files(folder):
        stamps.append(_stamp(path))
        if len(stamps) > MOST_FILES:
            return None
    return stamps


def _files(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(base) / name for name in sorted(names))


def _stamp(path: Path) -> list[Any]:
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
