"""What an artifact lacks when it is only to be collected, and the commands that make it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attacks.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One thing that is not there. what: in words; command: makes it."""

    what: str
    command: str


class MissingError(DataError):
    """Something an artifact is collected from is missing.

    missing: what; command: makes all of it; counted: how much of how much, in words.
    """

    def __init__(self, missing: Sequence[Missing], *, command: str, of: int | None = None) -> None:
        """Say what is missing, a line each.

        Args:
            missing: at least one.
            command: makes all of it.
            of: how many were looked for, where they were counted.
        """
        self.missing, self.command = tuple(missing), command
        self.counted = f"{len(missing)} of {of}" if of else str(len(missing))
        things = "thing is" if len(missing) == 1 and not of else "things are"
        is_told = {item.command for item in missing} == {command}
        together = [] if is_told or len(missing) == 1 else [Missing(what="or all at once", command=command)]
        super().__init__(_told(f"{self.counted} {things} missing", [*missing, *together]))


class SeveralMissingError(DataError):
    """Several artifacts cannot be collected: a line each, since all that they lack would fill screens."""

    def __init__(self, errors: Mapping[str, MissingError]) -> None:
        """Say what several artifacts lack, by name."""
        lines = [Missing(what=f"{name}: {error.counted}", command=error.command) for name, error in errors.items()]
        together = Missing(what="or all at once", command="the same command without --collect")
        what = f"{len(errors)} artifacts lack what they are put together of (asked alone, each tells what)"
        super().__init__(_told(what, [*lines, together]))


def _told(what: str, lines: Sequence[Missing]) -> str:
    width = max(len(line.what) for line in lines)
    listed = [f"  {line.what:<{width}}  {line.command}" for line in lines]
    return "\n".join([f"{what}; --collect computes nothing. To make them:", *listed])
