"""How progress looks: a bar on a terminal, plain lines elsewhere, nothing with --quiet. All on standard error."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.progress import Progress, Silent, Task

LINE_EVERY = 5.0  # seconds between plain lines of one task


class _BarTask:
    def __init__(self, bar: "object", task_id: "object") -> None:
        self._bar, self._task_id = bar, task_id

    def advance(self, note: str = "") -> None:
        self._bar.update(self._task_id, advance=1, note=note)  # type: ignore[attr-defined]  # rich, imported late


class BarProgress:
    """A rich progress bar; it leaves the screen when its task is done."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """Show a bar for the block."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
        )
        with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _BarTask(bar, bar.add_task(title, total=total, note=""))


class _LineTask:
    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._start = self._last = time.monotonic()

    def advance(self, note: str = "") -> None:
        self._done += 1
        now = time.monotonic()
        is_last = self._done == self._total and now - self._start > LINE_EVERY
        if is_last or now - self._last >= LINE_EVERY:
            self._last = now
            ending = f" ({note})" if note else ""
            print(f"{self._title}: {self._done}/{self._total}{ending}", file=sys.stderr, flush=True)


class LineProgress:
    """Plain lines, at most one in `LINE_EVERY` seconds, and none for what is done sooner."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """Print lines for the block."""
        yield _LineTask(title, total)


def choose_progress(*, quiet: bool) -> Progress:
    """The display that fits where standard error goes."""
    if quiet:
        return Silent()
    return BarProgress() if sys.stderr.isatty() else LineProgress()
