"""What a run leaves behind: `record.json` and `outcomes.parquet`, checked against each other when read."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attacks.errors import DamagedError, DataError, RequestError
from bench.canonical import full_hash, json_hash, plain
from bench.files import sha256_of, write_atomically, write_text
from bench.metrics.rates import Rate
from bench.sanity.diagnosis import with_diagnosis

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 4  # of the record's layout; no run's hash depends on it
log = logging.getLogger("erbench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run.

    schema: version of this layout; run_id: its hash, and the name of its folder.
    status: "done", "not-converged" or "error"; message: says why, empty when done.
    label: a few words for tables; spec: the run spec as plain JSON.
    dataset_digest: SHA-256 of the images.
    metrics: by name, rates as dicts of `bench.metrics.rates.Rate`, other numbers as they are.
    training: one dict an epoch; detector: what was fitted (bandwidth, weights, noise), empty for classifiers.
    code: versions of the code that made it, by part (`bench.code_version`).
    stored: keys, in the store, of what the numbers follow from: "classifier", its "unregularized" twin, "detector",
        and of the crafted chunks in order "test" and "fit"; empty for records older than this field.
    request: what was asked for (`bench.request.Request`), from which the spec follows again.
    notes: sentences a reader of the numbers should know.
    flags: what sanity checks found, each a `bench.sanity.contract.Flag` as JSON; when read, the doctor's as well.
    seconds: wall time per station; cpu_seconds: the same on all processors together.
    provenance: versions, revision, machine; command: makes the record again.
    """

    schema: int = SCHEMA
    run_id: str
    status: str
    message: str
    label: str
    spec: dict[str, Any]
    dataset_digest: str
    metrics: dict[str, Any]
    training: list[dict[str, Any]]
    detector: dict[str, Any]
    code: dict[str, str] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    notes: list[str]
    flags: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float]
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any]
    command: str

    def rate(self, name: str) -> Rate | None:
        """A metric as a rate; None when this run has no such metric."""
        value = self.metrics.get(name)
        return Rate(**value) if isinstance(value, dict) else None

    def number(self, name: str) -> float | None:
        """A metric that is a plain number; None when this run has no such metric."""
        value = self.metrics.get(name)
        return float(value) if isinstance(value, int | float) else None


def save_record(folder: Path, record: Record, outcomes: "pd.DataFrame | None") -> None:
    """Write outcomes first, then the record, whose presence says that the run is complete."""
    checksum = ""
    if outcomes is not None:
        path = folder / "outcomes.parquet"
        write_atomically(path, lambda temporary: outcomes.to_parquet(temporary, index=False))
        checksum = sha256_of(path)
    body = plain(record)
    envelope = {"record": body, "outcomes_sha256": checksum, "sha256": full_hash(body)}
    text = json.dumps(envelope, indent=1)
    write_atomically(folder / "record.json", lambda temporary: write_text(temporary, text))


def load_record(folder: Path, *, alone: bool = False) -> Record | None:
    """The record in `folder`, or None when there is none, or a damaged one, which is reported; as `read_record`."""
    try:
        return read_record(folder, alone=alone)
    except DataError as error:
        log.warning("%s; it is not used", error)
        return None


def read_record(folder: Path, *, alone: bool = False) -> Record | None:
    """The record in `folder`, or None when there is none.

    Args:
        folder: of one run.
        alone: the outcomes beside it are not looked at; tables need none.

    Raises:
        DataError: it has a newer schema; as `DamagedError` when it is not what was written, or not of this run.
    """
    path = folder / "record.json"
    if not path.exists():
        return None
    try:
        envelope = json.loads(path.read_text(encoding="utf-8"))
        body = envelope["record"]
        if body["schema"] > SCHEMA:
            raise DataError(f"{path} has schema {body['schema']}, this version reads up to {SCHEMA}")
        if complaint := _complaint(envelope, folder, alone=alone):
            raise DamagedError(f"{path} {complaint}")
        flags = with_diagnosis(body.pop("flags", []), folder, envelope["sha256"])
        return Record(**body, flags=flags)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"{path} cannot be read ({error})") from error


def _complaint(envelope: dict[str, Any], folder: Path, *, alone: bool) -> str:
    """What is wrong with a record; empty when it is what it should be."""
    body = envelope["record"]
    if body["run_id"] != folder.name:
        return f"is the record of run {body['run_id']}, not of this folder"
    if json_hash(body) != envelope["sha256"]:
        return "does not match its checksum"
    if alone or not envelope["outcomes_sha256"]:
        return ""
    if sha256_of(folder / "outcomes.parquet") != envelope["outcomes_sha256"]:
        return "has outcomes.parquet beside it that does not match its checksum"
    return ""


def load_records(results_dir: str | Path = "results") -> list[Record]:
    """All readable records below a results folder, oldest first; the outcomes beside them are not looked at."""
    found = [load_record(path.parent, alone=True) for path in Path(results_dir).glob("runs/*/record.json")]
    return sorted((record for record in found if record), key=lambda record: record.provenance["created"])


def load_outcomes(folder: Path) -> "pd.DataFrame":
    """The rows behind a record's metrics."""
    import pandas as pd  # late: a finished grid is shown without it

    return pd.read_parquet(folder / "outcomes.parquet")


def find_records(names: Sequence[str], results_dir: Path) -> list[Path]:
    """Folders of the records that a user names, readable or not; all below `results_dir` when none is named.

    Args:
        names: each the first digits of a hash, a record's folder, or its `record.json`.
        results_dir: where hashes are looked for.

    Raises:
        RequestError: a name fits no record, or there is none at all.
    """
    known = sorted(path.parent for path in results_dir.glob("runs/*/record.json"))
    if not names and not known:
        raise RequestError(f"no records under {results_dir / 'runs'}; `bench run` makes some")
    found: list[Path] = []
    for name in names:
        path = Path(name).parent if Path(name).name == "record.json" else Path(name)
        fitting = [folder for folder in known if name and folder.name.startswith(name)]
        if not fitting and (path / "record.json").is_file():
            fitting = [path.resolve()]
        if not fitting:
            raise RequestError(f"no record {name} under {results_dir / 'runs'}")
        found += fitting
    return list(dict.fromkeys(found)) or known
