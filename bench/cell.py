"""A cell of a grid, ready to run."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.canonical import plain
from bench.datasets.contract import Dataset
from bench.request import Request
from bench.spec import RunSpec
from bench.tables.differences import name_apart
from bench.user_models.user_model import UserModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A run ready to start.

    request: what was asked for; spec: everything its numbers follow from; dataset: its data.
    user_model: the user's own, where that is what is attacked.
    fault: why the cell cannot run though others of its grid can; empty when it can.
    """

    request: Request
    spec: RunSpec
    dataset: Dataset
    user_model: UserModel | None = None
    fault: str = ""

    @property
    def run_id(self) -> str:
        """The hash that names the run."""
        return self.spec.run_id(self.dataset.digest)


def cell_names(cells: Sequence[Cell]) -> dict[str, str]:
    """By run hash, a name that no other of the cells has: "kd · pgd (epsilon 0.1, seed 2)"."""
    names = name_apart([cell.spec.label for cell in cells], [plain(cell.spec) for cell in cells])
    return {cell.run_id: name for cell, name in zip(cells, names, strict=True)}
