"""The time of day, in one spelling that sorts."""

from datetime import UTC, datetime


def now() -> str:
    """Now, in UTC, to the microsecond: "2025-01-31T12:00:00.000000+00:00"."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
