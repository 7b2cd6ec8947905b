"""What an artifact lacks when it is only to be collected, and the commands that make it."""

from collections.abc import Sequence
from dataclasses import dataclass

from attacks.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One thing that is not there. what: in words; command: makes it."""

    what: str
    command: str


class MissingError(DataError):
    """Something an artifact is collected from is missing. `missing` lists it."""

    def __init__(self, missing: Sequence[Missing], *, of: int | None = None, command: str = "") -> None:
        """Say what is missing, a line each.

        Args:
            missing: at least one.
            of: how many were looked for, where they were counted.
            command: makes all of it, where one does.
        """
        self.missing = tuple(missing)
        counted = f"{len(missing)} of {of}" if of else str(len(missing))
        things = "thing is" if len(missing) == 1 and not of else "things are"
        lines = [f"{counted} {things} missing; --collect computes nothing. To make them:"]
        width = max(len(item.what) for item in missing)
        lines += [f"  {item.what:<{width}}  {item.command}" for item in missing]
        lines += [f"  {'or all at once':<{width}}  {command}"] if command and len(missing) > 1 else []
        super().__init__("\n".join(lines))
