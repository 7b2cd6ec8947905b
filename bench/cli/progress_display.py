"""How progress looks: bars on a terminal, plain lines elsewhere, nothing with --quiet. All on standard error."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.progress import Progress, Silent, Task

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_EVERY = 5.0  # seconds between plain lines of one task


class _BarTask:
    def __init__(self, bars: "RichProgress", task_id: "TaskID") -> None:
        self._bars, self._task_id = bars, task_id

    def advance(self, note: str = "") -> None:
        self._bars.update(self._task_id, advance=1, note=note)

    def tell(self, note: str) -> None:
        self._bars.update(self._task_id, note=note)


class BarProgress:
    """One display for all that is under way: a bar for the cells, one below it for what the present cell is at."""

    def __init__(self) -> None:
        self._bars: RichProgress | None = None

    @contextmanager
    def task(self, title: str, total: int, *, slow: bool = False) -> Iterator[Task]:  # noqa: ARG002  # the protocol's
        """Show a bar for the block; the display leaves the screen with its first bar."""
        if self._bars is None:
            self._bars = _bars()
            try:
                with self._bars:
                    yield self._add(title, total)
            finally:
                self._bars = None
            return
        task = self._add(title, total)
        try:
            yield task
        finally:
            self._bars.remove_task(task._task_id)  # the two classes are one

    def _add(self, title: str, total: int) -> _BarTask:
        assert self._bars is not None
        return _BarTask(self._bars, self._bars.add_task(title, total=total, note=""))


def _bars() -> "RichProgress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    return RichProgress(
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn(
            "{task.description} [dim]{task.fields[note]}",
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
        ),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # what is printed meanwhile goes above the bars, or to its file
        transient=True,
        expand=True,
        speed_estimate_period=24 * 3600,  # cells take minutes, so that the last half minute says nothing
    )


class _LineTask:
    def __init__(self, title: str, total: int, line_every: float) -> None:
        self._title, self._total, self._done, self._line_every = title, total, 0, line_every
        self._start = self._last = time.monotonic()

    def advance(self, note: str = "") -> None:
        self._done += 1
        now = time.monotonic()
        is_last = self._done == self._total and now - self._start > LINE_EVERY
        if is_last or now - self._last >= self._line_every:
            self._print(note, now)

    def tell(self, note: str) -> None:
        now = time.monotonic()
        if note and now - self._last >= LINE_EVERY:
            self._print(note, now)

    def _print(self, note: str, now: float) -> None:
        self._last = now
        ending = f" ({note})" if note else ""
        print(f"{self._title}: {self._done}/{self._total}{ending}", file=sys.stderr, flush=True)


class LineProgress:
    """Plain lines, at most one in `LINE_EVERY` seconds for quick steps, none for what is done sooner."""

    @contextmanager
    def task(self, title: str, total: int, *, slow: bool = False) -> Iterator[Task]:
        """Print lines for the block."""
        yield _LineTask(title, total, 0.0 if slow else LINE_EVERY)


def choose_progress(*, quiet: bool) -> Progress:
    """The display that fits where standard error goes."""
    if quiet:
        return Silent()
    return BarProgress() if sys.stderr.isatty() else LineProgress()
