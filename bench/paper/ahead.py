"""The runs of several artifacts as one sweep, so that no worker idles at the end of one artifact."""

from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Self

from attacks.errors import ErbenchError, StorageError
from bench.cell import Cell
from bench.executors.driver import Crew, swept_by
from bench.paper.contract import ArtifactEntry
from bench.paper.desk import Desk
from bench.record import Record
from bench.workspace import Workspace


class Ahead:
    """One sweep through all cells that artifacts ask for; to be used as a context manager, which ends it."""

    def __init__(self, artifacts: Sequence[tuple[ArtifactEntry, Desk]], crew: Crew, workspace: Workspace) -> None:
        """Plan the cells; those of an artifact that cannot be planned are left to it, which then tells why.

        Args:
            artifacts: each with its desk, in the order they are made in.
            crew: who runs the cells.
            workspace: where.
        """
        self._cells = {entry.name: _planned(entry, desk) for entry, desk in artifacts}
        cells = {cell.run_id: cell for own in self._cells.values() for cell in own}
        self._records: Generator[Record, None, None] = swept_by(crew, list(cells.values()), workspace, keep_errors=True)
        self._done: set[str] = set()

    def finish(self, name: str) -> None:
        """Return once all cells of an artifact have records; at once for one that was not given.

        Raises:
            RequestError: the crew cannot be had or is lost.
            StorageError: the results folder cannot be written to, or is full.
        """
        wanted = {cell.run_id for cell in self._cells.get(name, ())}
        while not wanted <= self._done:
            self._done.add(next(self._records).run_id)

    def __enter__(self) -> Self:
        """Return it; nothing has started yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the sweep and its workers."""
        self._records.close()


def _planned(entry: ArtifactEntry, desk: Desk) -> list[Cell]:
    try:
        return desk.cells(entry.runs(desk))
    except StorageError:
        raise
    except ErbenchError:  # told when the artifact is made
        return []
