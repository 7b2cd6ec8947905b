"""A desk whose records are made up: artifacts are put together at it without a run."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from bench.paper.contract import ArtifactEntry, Made, PaperRequest
from bench.record import Record

Answer = Callable[[Mapping[str, Any], int], Record]  # options of a cell, seed -> its record


class MadeUpDesk:
    """As much of `bench.paper.desk.Desk` as artifacts of runs ask for, on a dataset that has no images."""

    def __init__(self, answer: Answer, request: PaperRequest) -> None:
        self.request = request
        self.dataset = SimpleNamespace(name="digits", family="digits", test=range(500))
        self.asked: list[Mapping[str, Any]] = []
        self._answer = answer

    def repeated(self, wanted: Sequence[Mapping[str, Any]]) -> list[tuple[Record, ...]]:
        self.asked += wanted
        return [tuple(self._answer(options, seed) for seed in self.request.seeds) for options in wanted]


def made_of(entry: ArtifactEntry, answer: Answer, *, seeds: int = 3, **options: Any) -> Made:
    """The artifact put together of `answer`'s records, with own options."""
    request = PaperRequest(seeds=tuple(range(seeds)), options=options)
    return entry.make(MadeUpDesk(answer, request))  # type: ignore[arg-type]


def texts(made: Made) -> list[list[str]]:
    """What stands in the rows of an artifact's table."""
    return [[entry.text for entry in row] for block in made.table.blocks for row in block]
