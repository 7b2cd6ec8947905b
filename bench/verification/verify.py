"""A record verified: everything is read again from stored data, judged anew, and compared; nothing is taken on trust.

Data alone count: weights, detector and adversarial images by their recorded keys, clean images from the verifier's
own dataset. Nothing is trained or crafted, and no code that a record names is run.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from attacks.errors import AttackError, DamagedError, DataError, ErbenchError, ModelError, RequestError
from bench.datasets.contract import Dataset, LoadRequest
from bench.datasets.registry import load_dataset
from bench.embedding import twin_of
from bench.fitting import FittedClassifier
from bench.pipeline import clean_logits
from bench.record import Record, read_record
from bench.spec import RunSpec
from bench.storage.store import Store
from bench.user_models.user_model import UserModel
from bench.verification.rejudge import Rejudged, rejudge
from bench.verification.spec_reading import read_spec
from bench.verification.stored_studio import DisagreementError, StoredStudio, restore_classifier
from bench.workspace import Workspace
from defenses.classifiers.user_model import USER_MODEL

FOLDER = "folder:"
REFUTED = (DisagreementError, DamagedError, AttackError, ModelError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of verifying one record.

    run_id: name of the record's folder; label: a few words, empty where the spec could not be read.
    status: "agrees", "disagrees", "unverifiable" (data are missing) or "empty" (a run that ended without numbers).
    message: why nothing was judged; empty where something was.
    rejudged: what came of judging anew; None where nothing was.
    """

    run_id: str
    status: str
    label: str = ""
    message: str = ""
    rejudged: Rejudged | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """The verifier's own means.

    workspace: data folder and device; nothing is written.
    user_model: what `--model` gave, for records of a user's own model.
    folder: the verifier's own image folder, for records of folder:PATH; None looks where the record says.
    """

    workspace: Workspace
    user_model: UserModel | None = None
    folder: Path | None = None
    _datasets: dict[tuple[Any, ...], Dataset] = field(default_factory=dict)

    def verify(self, folder: Path, store: Store) -> Verification:
        """Verify the record in `folder`, whose stored things are in `store`."""
        found = Verification(run_id=folder.name, status="agrees")
        try:
            record = read_record(folder)
            if record is None:
                raise DataError(f"there is no record.json in {folder}")
            _require_types(record)
            found = replace(found, label=record.label)
            if record.status != "done":
                return _without_numbers(found, record)
            rejudged = self._rejudge(record, folder, self.open_studio(record, folder, store))
            return replace(found, status="disagrees" if rejudged.problems else "agrees", rejudged=rejudged)
        except REFUTED as error:
            status, message = "disagrees", str(error)
        except ErbenchError as error:
            status, message = "unverifiable", str(error)
        except Exception as error:  # data from elsewhere may break anything; that is never an agreement
            status, message = "disagrees", f"cannot be judged: {type(error).__name__}: {error}"
        return replace(found, status=status, message=message)

    def open_studio(self, record: Record, folder: Path, store: Store) -> StoredStudio:
        """The studio of a finished record in `folder`, which reads what the record names and makes nothing.

        Raises:
            DataError: the data, the user's model or stored things are missing.
            DisagreementError: what is found is not what the record says.
        """
        if not record.stored:
            raise _older(record, folder, "all of it")
        spec = read_spec(record.spec)
        _require_stored(record, spec, folder)
        dataset = self._dataset(spec, record.dataset_digest)
        if spec.run_id(dataset.digest) != record.run_id or record.label != spec.label:
            raise DisagreementError("its name does not follow from its spec and its data")
        fitted = self._classifier(record, spec, dataset, store)
        return StoredStudio(
            spec=spec,
            dataset=dataset,
            fitted=fitted,
            workspace=self.workspace,
            logits=clean_logits(fitted, dataset, self.workspace.device),
            store=store,
            stored=record.stored,
            code=record.code,
        )

    def _rejudge(self, record: Record, folder: Path, studio: StoredStudio) -> Rejudged:
        twin, found_twin = twin_of(studio.spec.classifier), None
        if twin:
            key, device = record.stored["unregularized"], self.workspace.device
            found_twin = restore_classifier(twin, key, studio.store, studio.dataset, device)
        try:
            return rejudge(record, folder, studio, found_twin)
        except RequestError as error:  # with these weights the sets that the spec asks for are not to be had
            raise DisagreementError(str(error)) from error

    def _dataset(self, spec: RunSpec, digest: str) -> Dataset:
        """The verifier's own copy of the data of a run; `DataError` when it holds other images."""
        name = spec.dataset
        if self.folder is not None and name.startswith(FOLDER):
            name = f"{FOLDER}{self.folder}"
        key = (name, spec.image_size, spec.channels)
        if key not in self._datasets:
            request = LoadRequest(
                data_dir=self.workspace.data_dir,
                download=self.workspace.download,
                image_size=spec.image_size,
                channels=spec.channels,
                progress=self.workspace.progress,
            )
            self._datasets[key] = load_dataset(name, request)
        dataset = self._datasets[key]
        if dataset.digest != digest:
            hint = "; --folder says where yours are" if name.startswith(FOLDER) else ""
            raise DataError(
                f"{name} holds other images here (digest {dataset.digest[:16]}) than where the record was made "
                f"({digest[:16]}){hint}"
            )
        return dataset

    def _classifier(self, record: Record, spec: RunSpec, dataset: Dataset, store: Store) -> FittedClassifier:
        key, device = record.stored["classifier"], self.workspace.device
        if spec.classifier.name != USER_MODEL.name:
            return restore_classifier(spec.classifier, key, store, dataset, device)
        wanted = f"{spec.classifier.config.file}:{spec.classifier.config.factory}"
        if self.user_model is None:
            raise DataError(f"it is of a user's own model, {wanted}; give it with --model and --weights")
        own = self.user_model.spec(dataset.family)
        other = [
            name
            for name in ("file", "factory", "source_digest", "state_digest")
            if getattr(own.config, name) != getattr(spec.classifier.config, name)
        ]
        if other:
            raise DataError(f"--model is not its {wanted}: another {' and '.join(other).replace('_', ' ')}")
        fitted = self.user_model.fitted(device)
        if fitted.key != key:
            raise DisagreementError("the key of its classifier does not follow from the model's digests")
        return fitted


def _require_types(record: Record) -> None:
    """Raise `DamagedError` unless every field of a record is of its type."""
    for name, hint in get_type_hints(Record).items():
        if not isinstance(getattr(record, name), get_origin(hint) or hint):
            raise DamagedError(f"the record's {name} is not of its type")


def _require_stored(record: Record, spec: RunSpec, folder: Path) -> None:
    """Raise `DataError` unless a record names, by key, everything that its numbers follow from."""
    names = {"classifier": str, "test": list}
    names |= {"detector": str, "fit": list} if spec.detector else {}
    names |= {"unregularized": str} if twin_of(spec.classifier) else {}
    if missing := [name for name, kind in names.items() if not isinstance(record.stored.get(name), kind)]:
        raise _older(record, folder, ", ".join(missing))


def _older(record: Record, folder: Path, missing: str) -> DataError:
    return DataError(
        f"it does not name what its numbers follow from ({missing} is missing), as records of older versions; remove "
        f"{folder} and run again: {record.command or 'the call that made it'}"
    )


def _without_numbers(found: Verification, record: Record) -> Verification:
    if record.metrics:
        return replace(found, status="disagrees", message=f"ended as '{record.status}' and yet has numbers")
    return replace(found, status="empty", message=f"ended without numbers ({record.status})")
