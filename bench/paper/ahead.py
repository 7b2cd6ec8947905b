"""The runs of several artifacts as one sweep, so that no worker idles at the end of one artifact."""

from collections.abc import Generator, Sequence
from typing import Self

from attacks.errors import RequestError
from bench.cell import Cell
from bench.executors.driver import Crew, swept_by
from bench.paper.contract import ArtifactEntry
from bench.paper.desk import Desk
from bench.record import Record
from bench.workspace import Workspace


class Ahead:
    """One sweep through all cells that artifacts ask for; to be used as a context manager, which ends it.

    Other processes go on while an artifact is put together, but a lost one is started again only afterwards.
    """

    def __init__(
        self,
        artifacts: Sequence[tuple[ArtifactEntry, Desk]],
        crew: Crew,
        workspace: Workspace,
        ended: dict[str, Record],
    ) -> None:
        """Plan all cells; nothing is run yet.

        Args:
            artifacts: each with its desk, in the order they are made in.
            crew: who runs the cells.
            workspace: where.
            ended: gets every record, by run id; the desks' own.

        Raises:
            RequestError: an option is out of range, or a cell cannot be had on the dataset.
            DataError: data are missing or damaged.
        """
        self._cells = {entry.name: _planned(entry, desk, is_alone=len(artifacts) == 1) for entry, desk in artifacts}
        cells = {cell.run_id: cell for own in self._cells.values() for cell in own}
        self._records: Generator[Record, None, None] = swept_by(crew, list(cells.values()), workspace, keep_errors=True)
        self._ended = ended

    def finish(self, name: str) -> None:
        """Return once all cells of an artifact have records; at once for one that was not given.

        Raises:
            RequestError: the crew cannot be had or is lost.
            StorageError: the results folder cannot be written to, or is full.
        """
        wanted = {cell.run_id for cell in self._cells.get(name, ())}
        while not wanted <= self._ended.keys():
            record = next(self._records, None)
            if record is None:  # the desk runs what is left, and tells why that fails
                return
            self._ended[record.run_id] = record

    def __enter__(self) -> Self:
        """Return it; nothing has started yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the sweep and its workers."""
        self._records.close()


def _planned(entry: ArtifactEntry, desk: Desk, *, is_alone: bool) -> list[Cell]:
    try:
        return desk.cells(entry.runs(desk))
    except RequestError as error:
        if is_alone:
            raise
        raise RequestError(f"{entry.name}: {error}") from error
