"""A table of named parts: refuses duplicates, suggests near names, and takes parts from other packages.

Used for attacks, defenses and datasets alike. Another package adds a part through an entry point of the
registry's group (`erbench.attacks`, `erbench.defenses`, `erbench.datasets`) that points at an entry object.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

from attacks.errors import RequestError


class Named(Protocol):
    """Anything with a name, a one-line summary and a source; what `bench list` prints."""

    @property
    def name(self) -> str:
        """The word a user types."""

    @property
    def summary(self) -> str:
        """One line that says what it is."""

    @property
    def source(self) -> str:
        """Where it comes from: paper and section, or our own decision."""


Entry = TypeVar("Entry", bound=Named)


class Registry(Generic[Entry]):
    """Names mapped to entries, in the order they were registered."""

    def __init__(self, kind: str, group: str, entries: tuple[Entry, ...]) -> None:
        """Register `entries`.

        Args:
            kind: what an entry is, in the singular, for messages ("attack").
            group: the entry-point group that other packages add to.
            entries: the project's own entries.

        Raises:
            RequestError: two entries have one name.
        """
        self.kind = kind
        self._group = group
        self._entries: dict[str, Entry] = {}
        self._plugins_loaded = False
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Register one entry; a name that is taken is refused with `RequestError`."""
        if entry.name in self._entries:
            raise RequestError(f"the {self.kind} '{entry.name}' is registered twice; rename one of them")
        self._entries[entry.name] = entry

    def get(self, name: str) -> Entry:
        """Return the entry called `name`; raise `RequestError` with near names when there is none."""
        self._load_plugins()
        if name in self._entries:
            return self._entries[name]
        raise RequestError(unknown_name(self.kind, name, list(self._entries)))

    def names(self) -> list[str]:
        """Every registered name."""
        self._load_plugins()
        return list(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        self._load_plugins()
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        self._load_plugins()
        return name in self._entries

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        for point in entry_points(group=self._group):
            self.add(point.load())


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """Say that `name` is no `kind`, name the nearest known one if any, and list them all."""
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown {kind} '{name}'; {hint}known: {', '.join(known)}"
