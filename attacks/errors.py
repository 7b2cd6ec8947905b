"""The few exceptions that the project raises on purpose.

Each carries one sentence that says what is wrong and what to do. The command line prints that sentence and
exits with the class's `exit_code`; anything else that escapes is a bug and shows a traceback.
"""

from typing import Any

MOST_NAMED = 10  # images in one message


def named_images(sample_ids: list[int]) -> str:
    """Images for a message: "3, 5, 8", and beyond ten how many more."""
    more = f" and {len(sample_ids) - MOST_NAMED} more" if len(sample_ids) > MOST_NAMED else ""
    return ", ".join(str(sample_id) for sample_id in sample_ids[:MOST_NAMED]) + more


class ErbenchError(Exception):
    """Base of every exception raised on purpose.

    exit_code: what the process ends with when nobody catches it.
    """

    exit_code = 2


class RequestError(ErbenchError):
    """The request cannot be served as asked: an unknown name, an option out of range, options that clash."""


class DataError(ErbenchError):
    """The data are missing, truncated, or not what they claim to be."""


class DamagedError(DataError):
    """What is stored is not what was stored: its bytes do not match their checksum, or its content its name."""


class StorageError(DataError):
    """A place takes no files: it is full, read-only or somebody else's. No cell is to blame for it."""


class ModelError(ErbenchError):
    """A model breaks the contract that every attack relies on: eval mode, logits rather than probabilities."""


class NotConvergedError(ErbenchError):
    """Training ended without a usable model; its numbers would be noise, so none are given.

    history: what was seen of its epochs, one dict each; empty where nothing was kept.
    """

    exit_code = 1

    def __init__(self, message: str, history: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.history = history or []


class AttackError(ErbenchError):
    """An attack broke its own promise: images outside the box or its ball. A bug in it, never a result."""

    exit_code = 1
