"""How long work tells how far it is, without knowing who listens."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, note: str = "") -> None:
        """One more of the announced steps is done; `note` says something of it."""

    def tell(self, note: str) -> None:
        """Say something while no step is done."""


class Progress(Protocol):
    """Whoever shows progress."""

    def task(self, title: str, total: int, *, slow: bool = False) -> AbstractContextManager[Task]:
        """Announce work of `total` steps; use as a context manager. `slow`: each step is worth a line of its own."""


class _SilentTask:
    def advance(self, note: str = "") -> None:
        """Nobody listens."""

    def tell(self, note: str) -> None:
        """Nobody listens."""


class Silent:
    """Shows nothing; what library calls use unless told otherwise."""

    @contextmanager
    def task(self, title: str, total: int, *, slow: bool = False) -> Iterator[Task]:  # noqa: ARG002  # the protocol's
        """Announce nothing."""
        yield _SilentTask()
