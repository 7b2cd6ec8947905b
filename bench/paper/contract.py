"""What an artifact of the paper takes and gives: the words that `bench paper` and its artifacts share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.paper.desk import Desk


Wanted = Mapping[str, Any]
"""A cell: options of a run by name with underscores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRequest:
    """What an artifact is asked for.

    dataset: as `bench run --dataset` takes it.
    recipe: "quick" or "paper", how everything is trained.
    seeds: one repetition each.
    settings: options of runs that were asked for (`n_train`, `epochs`, `bandwidth`, ...), by name with underscores;
        they go to every run that takes them.
    options: the artifact's own (`ArtifactEntry.options`), by name with underscores.
    """

    dataset: str = "digits"
    recipe: str = "quick"
    seeds: tuple[int, ...] = (0, 1, 2)
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table. title: its own; groups: the heads above it, outermost first; neighbors of one are joined."""

    title: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What stands in one place of a table. text: rounded; bold: differs from the paper beyond the interval."""

    text: str
    bold: bool = False


Row = tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTable:
    """A table to be read.

    columns: from left to right, of which the first `names` say what a row is.
    blocks: rows in groups that a rule sets apart; every row has an entry a column.
    """

    columns: tuple[Column, ...]
    blocks: tuple[tuple[Row, ...], ...]
    names: int = 1

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for block in self.blocks for row in block):
            raise ValueError("a row of a table has other entries than the table has columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An artifact, ready to be written.

    title: what it shows, in one sentence without a final stop.
    table: rounded, for readers; data: the same and more unrounded, one plain dict a row, for the CSV.
    findings: sentences that say what the numbers mean, better or worse than the paper's and why.
    counted: what n is, in words ("n 100 + 100 images a set"); empty where nothing is counted.
    legend: how the table's signs are read, a sentence without a final stop.
    keys: run hashes and store keys behind the numbers, from which the caption's spec hash follows.
    figure: the picture, where there is one.
    """

    title: str
    table: PaperTable
    data: tuple[dict[str, Any], ...]
    findings: tuple[str, ...] = ()
    counted: str = ""
    legend: str = ""
    keys: tuple[str, ...] = ()
    figure: "Figure | None" = None


def no_runs(desk: "Desk") -> Sequence[Wanted]:
    """Of an artifact that is put together without records."""
    del desk
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEntry:
    """A registered artifact.

    name: the paper's ("table3"); summary, source: for `bench list artifacts`.
    families: of networks whose datasets it is defined for; empty where it takes no dataset.
    options: names of its own options, with underscores.
    has_seeds: whether it repeats anything.
    runs: desk -> the cells that it asks the desk's records of, as `Desk.records` takes them; raises `RequestError` for
        options out of range, so that these are told before anything runs.
    make: desk -> the artifact; raises `RequestError` for options out of range.
    """

    name: str
    summary: str
    source: str
    families: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    has_seeds: bool = True
    runs: "Callable[[Desk], Sequence[Wanted]]" = no_runs
    make: "Callable[[Desk], Made]"


def plain_row(*texts: str) -> Row:
    """A row of a table in which nothing is bold."""
    return tuple(Entry(text=text) for text in texts)
