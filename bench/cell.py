"""A cell of a grid, ready to run."""

from dataclasses import dataclass

from bench.datasets.contract import Dataset
from bench.request import Request
from bench.spec import RunSpec
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
