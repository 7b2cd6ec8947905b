"""`doctor.json` beside a record: what every check said of it. Read without torch, as tables are made."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.canonical import full_hash, plain
from bench.files import write_atomically, write_text

DIAGNOSIS = "doctor.json"
SCHEMA = 1
log = logging.getLogger("erbench")


def save_diagnosis(folder: Path, record_sha256: str, verdicts: Sequence[Any]) -> None:
    """Write what came of every check.

    Args:
        folder: of the record.
        record_sha256: of the record's body, so that a record made again does not inherit the flags of its forerunner.
        verdicts: `bench.sanity.examine.Verdict`s.

    Raises:
        StorageError: the folder cannot be written to.
    """
    body = {"schema": SCHEMA, "record_sha256": record_sha256, "verdicts": plain(list(verdicts))}
    text = json.dumps({"diagnosis": body, "sha256": full_hash(body)}, indent=1)
    write_atomically(folder / DIAGNOSIS, lambda temporary: write_text(temporary, text))


def with_diagnosis(flags: list[dict[str, Any]], folder: Path, record_sha256: str) -> list[dict[str, Any]]:
    """A record's own flags, and those that the doctor raised on the same record, which replace those of their name."""
    return list({flag["name"]: flag for flag in [*flags, *_flags(folder / DIAGNOSIS, record_sha256)]}.values())


def _flags(path: Path, record_sha256: str) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        envelope = json.loads(path.read_text(encoding="utf-8"))
        body = envelope["diagnosis"]
        if full_hash(body) != envelope["sha256"]:
            log.warning("%s does not match its checksum; it is not used", path)
            return []
        if body["schema"] > SCHEMA or body["record_sha256"] != record_sha256:
            return []  # of another record, or of a newer version
        return [verdict["flag"] for verdict in body["verdicts"] if verdict["flag"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("%s cannot be read (%s); it is not used", path, error)
        return []
