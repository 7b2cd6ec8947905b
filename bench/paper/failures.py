"""What of an artifact gave no numbers, in sentences."""

from collections.abc import Iterable

from bench.record import Record


def reason_of(record: Record) -> str:
    """Why a record has no numbers, in one line: of a crash's traceback the last."""
    return record.message.strip().rpartition("\n")[2]


def failures_of(records: Iterable[tuple[str, Record]]) -> tuple[str, ...]:
    """A sentence each for records, called by a label, that have no numbers; those that say the same are told once."""
    sentences = [
        f"{label}, seed {record.spec['seed']}: no numbers, {record.status}: {reason_of(record)}"
        for label, record in records
        if record.status != "done"
    ]
    return tuple(dict.fromkeys(sentences))
