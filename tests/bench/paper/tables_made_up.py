"""Artifacts that no computation is behind, for tests of how artifacts are written."""

from typing import Any

from bench.paper.contract import ArtifactEntry, Column, Made, PaperTable, plain_row
from bench.paper.desk import Desk


def table(columns: tuple[Column, ...]) -> PaperTable:
    """A table of one row, whose entries are numbered."""
    return PaperTable(columns=columns, blocks=((plain_row(*map(str, range(len(columns)))),),))


def artifact(shown: PaperTable | None = None, **changes: Any) -> Made:
    """An artifact called "A title"."""
    shown = shown or table((Column(title="a"), Column(title="b")))
    return Made(**{"title": "A title", "table": shown, "data": ({"a": 1},)} | changes)


def entry(**changes: Any) -> ArtifactEntry:
    """An entry called table99, of digits, that makes `artifact()`."""

    def make(desk: Desk) -> Made:
        return artifact()

    given = {"name": "table99", "summary": "made up", "source": "here", "families": frozenset({"digits"})}
    return ArtifactEntry(**{**given, "make": make} | changes)
