"""How workers tell how far they are: a small file each, below the shared results folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from attacks.errors import DataError
from bench.files import write_atomically, write_text
from bench.progress import Silent, Task

EVERY = 1.0  # seconds between two reports of a worker


@dataclass(frozen=True, slots=True)
class Reports:
    """A `bench.progress.Progress` that writes what worker `number` is at for `read_reports`."""

    results_dir: Path
    number: int

    @contextmanager
    def task(self, title: str, total: int, *, slow: bool = False) -> Iterator[Task]:
        """Report the block's work; not the cells, which the driver counts itself."""
        if slow:
            with Silent().task(title, total) as task:
                yield task
        else:
            yield _ReportedTask(_folder(self.results_dir) / f"{self.number}.json", title, total)


class _ReportedTask:
    def __init__(self, path: Path, title: str, total: int) -> None:
        self._path, self._title, self._total, self._done = path, title, total, 0
        self._last = monotonic() - EVERY
        self.tell("")

    def advance(self, note: str = "") -> None:
        self._done += 1
        self.tell(note)

    def tell(self, note: str) -> None:
        if monotonic() - self._last < EVERY:
            return
        self._last = monotonic()
        text = json.dumps({"text": f"{self._title} {self._done}/{self._total}", "note": note})
        with suppress(DataError):  # nobody's work depends on being watched
            write_atomically(self._path, lambda path: write_text(path, text))


def read_reports(results_dir: Path) -> list[str]:
    """What each worker last said, in the order of their numbers."""
    found = []
    for path in sorted(_folder(results_dir).glob("*.json"), key=lambda path: path.name.zfill(20)):
        with suppress(OSError, ValueError, KeyError):
            found.append(json.loads(path.read_text())["text"])
    return found


def clear_reports(results_dir: Path) -> None:
    """Forget what workers of an earlier sweep said."""
    for path in _folder(results_dir).glob("*.json"):
        path.unlink(missing_ok=True)


def _folder(results_dir: Path) -> Path:
    return results_dir / "store" / "workers"
