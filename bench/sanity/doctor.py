"""A record examined by every check: its evaluation is opened from stored data, nothing is trained or run again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from attacks.errors import DataError, ErbenchError, RequestError
from bench.pipeline import evaluate
from bench.record import Record, load_outcomes, load_record, read_record
from bench.sanity.contract import Case, Passed
from bench.sanity.diagnosis import DIAGNOSIS, save_diagnosis
from bench.sanity.examine import FLAGGED, Verdict, case_of, examine
from bench.sanity.registry import CHECKS
from bench.sanity.rivals import passes_of
from bench.spec import OBLIVIOUS
from bench.stations import Clock
from bench.storage.needs import store_beside
from bench.storage.store import Store
from bench.tables.detector_runs import detector_runs, threat_of
from bench.verification.spec_reading import read_spec
from bench.verification.stored_studio import NotStoredError, StoredStudio, restore_classifier
from bench.verification.verify import Verifier

SURROGATE = "standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What came of examining one record.

    run_id: name of the record's folder; label: a few words, empty where the record was not opened.
    verdicts: one a check; path: where they were written.
    message: why nothing was examined; empty where something was.
    """

    run_id: str
    label: str = ""
    verdicts: tuple[Verdict, ...] = ()
    path: Path | None = None
    message: str = ""

    @property
    def is_flagged(self) -> bool:
        """Whether any check raised a flag."""
        return any(verdict.status == FLAGGED for verdict in self.verdicts)


def diagnose_all(folders: Sequence[Path], results_dir: Path, verifier: Verifier) -> Iterator[Diagnosis]:
    """Examine records one after the other; of several, one that cannot be examined keeps no other from it.

    Args:
        folders: of the records.
        results_dir: whose store is taken where a record has none beside it.
        verifier: the means to open them with.

    Raises:
        ErbenchError: as `diagnose`, of a single record.
    """
    for folder in folders:
        try:
            yield diagnose(folder, store_beside(folder, results_dir), verifier)
        except ErbenchError as error:
            if len(folders) == 1:
                raise
            yield Diagnosis(run_id=folder.name, message=str(error))


def diagnose(folder: Path, store: Store, verifier: Verifier) -> Diagnosis:
    """Run every check on a record and write `doctor.json` beside it, which tables read.

    Args:
        folder: of the record.
        store: where its things are.
        verifier: the means to open it with.

    Raises:
        RequestError: the record has no numbers.
        DataError: the record, its images or weights are missing or damaged; the message says which command makes them.
        DisagreementError: what is stored is not what the record says.
    """
    record = read_record(folder)
    if record is None:
        raise DataError(f"there is no record.json in {folder}")
    if record.status != "done":
        raise RequestError(f"{folder} ended without numbers ({record.status}); there is nothing to examine")
    with verifier.workspace.progress.task(f"opening {record.label}", 1) as opening:
        case = _open(record, folder, store, verifier)
        opening.advance()
    verdicts = []
    with verifier.workspace.progress.task(f"examining {record.label}", len(CHECKS)) as task:
        for verdict in examine(case, CHECKS):
            verdicts.append(verdict)
            task.advance(verdict.check)
    save_diagnosis(folder, _sha256(folder), verdicts)
    return Diagnosis(run_id=folder.name, label=record.label, verdicts=tuple(verdicts), path=folder / DIAGNOSIS)


def _open(record: Record, folder: Path, store: Store, verifier: Verifier) -> Case:
    try:
        studio = verifier.open_studio(record, folder, store)
        findings = evaluate(studio, Clock())
    except NotStoredError as error:  # pruned; today's command would find the record and make nothing
        missing = str(error).partition(";")[0]
        place = verifier.workspace.results_dir
        where = "" if place == Path("results") else f" --results-dir {place}"
        raise DataError(f"{missing}; to craft it again remove {folder} and run: {record.command}{where}") from error
    surrogate = _surrogate(record, studio)
    rivals = tuple(_rivals(record, folder))
    outcomes = load_outcomes(folder)
    return case_of(studio, findings.exhibits, outcomes, record.metrics, surrogate=surrogate, rivals=rivals)


def _rivals(record: Record, folder: Path) -> Iterator[tuple[str, Passed]]:
    """What attacks achieved on the same detector that know nothing of it, in the runs beside an adaptive one."""
    if not record.spec["detector"] or threat_of(record) == OBLIVIOUS:
        return
    for path in sorted(folder.parent.glob("*/record.json")):
        other = load_record(path.parent)
        if other is None or other.status != "done" or not other.spec["detector"] or threat_of(other) != OBLIVIOUS:
            continue
        if len(detector_runs([record, other])) == 1:
            yield other.label, passes_of(load_outcomes(path.parent), other.number("threshold_at_5_fpr"))


def _surrogate(record: Record, studio: StoredStudio) -> nn.Module | None:
    """A plainly trained network for the same images, if the store has one and it is not the one examined."""
    if studio.spec.classifier.name == SURROGATE:
        return None
    for path in sorted((studio.store.root / "classifiers").glob("*.json")):
        try:
            body = json.loads(path.read_text(encoding="utf-8"))["spec"]["spec"]
            if body["name"] == SURROGATE:
                spec = read_spec({**record.spec, "classifier": body}).classifier
                device = studio.workspace.device
                return restore_classifier(spec, path.stem, studio.store, studio.dataset, device).classifier
        except (OSError, ValueError, KeyError, TypeError, ErbenchError):  # of other images, or no longer readable
            continue
    return None


def _sha256(folder: Path) -> str:
    """Of the record's body, as its own file says."""
    return str(json.loads((folder / "record.json").read_text(encoding="utf-8"))["sha256"])
