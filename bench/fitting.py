"""The second station: train a classifier, or fit a detector on it, unless the store holds it already."""

import logging
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from attacks.errors import NotConvergedError
from bench.canonical import plain
from bench.code_version import code_version
from bench.datasets.contract import Dataset, Split
from bench.inference import logits_of_all
from bench.spec import ClassifierSpec, DetectorSpec
from bench.storage.checkpoints import CheckpointJournal, Checkpoints
from bench.storage.store import Item
from bench.workspace import Workspace
from defenses.contract import Classifier, ClassifierEntry, Detector, DetectorEntry
from defenses.registry import DEFENSES
from defenses.training.contract import EpochSummary
from defenses.training.verdict import require_convergence

MOST_CHECKED = 2000  # training images that show whether training converged
log = logging.getLogger("erbench")


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedClassifier:
    """classifier: in eval mode, frozen, on the device; key: in the store; history: one dict an epoch."""

    classifier: nn.Module
    key: str
    history: list[dict[str, Any]]

    @property
    def network(self) -> Classifier:
        """The classifier as what detectors watch; the user's own module is none."""
        assert isinstance(self.classifier, Classifier)
        return self.classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedDetector:
    """detector: what comes before the logistic regression; key: in the store."""

    detector: Detector
    key: str


def classifier_code(entry: ClassifierEntry) -> str:
    """Version of the code that a classifier comes from; empty for the user's own, known by its digests."""
    functions = (entry.configure, entry.build, entry.train)
    return code_version(*(function for function in functions if function)) if entry.train else ""


def detector_code(entry: DetectorEntry) -> str:
    """Version of the code that a fitted detector comes from."""
    return code_version(entry.fit, entry.restore)


def training_part(spec: ClassifierSpec, dataset: Dataset) -> Split:
    """The training images that a spec asks for, in the split's order."""
    if spec.n_train == len(dataset.train):
        return dataset.train
    order = torch.randperm(len(dataset.train), generator=Generator().manual_seed(spec.seed))
    return dataset.train.take(order[: spec.n_train].sort().values)


def fit_classifier(spec: ClassifierSpec, dataset: Dataset, workspace: Workspace) -> FittedClassifier:
    """Train, or load from the store; a training that was cut short goes on after its last finished epoch.

    Raises:
        NotConvergedError: training ended without a usable model, now or when it was first tried.
    """
    entry = DEFENSES.get(spec.name)
    assert isinstance(entry, ClassifierEntry)
    assert entry.build is not None
    store, classes = workspace.store, len(dataset.class_names)
    identity = _classifier_identity(spec, dataset)
    key = store.key("classifiers", identity)
    built = cache(partial(entry.build, spec.family, classes, spec.config, spec.seed))  # only once it is needed
    checkpoints = Checkpoints(store=store, identity=identity, device=workspace.device)

    def train() -> Item:
        network = built()
        history = plain(_train(entry, network, spec, dataset, workspace, checkpoints))
        details = {"history": history, "accuracy": _accuracy(network, spec, dataset, workspace)}
        return store.save("classifiers", key, spec=identity, tensors=network.state_dict(), details=details)

    item = store.once("classifiers", key, train)
    network = built()
    if not _fits(network, item.tensors):
        item = train()
    checkpoints.remove()  # also those that a kill just after storing the classifier has left
    details = item.details
    epochs = [EpochSummary(**epoch) for epoch in details["history"]]
    try:
        require_convergence(spec.name, epochs, details["accuracy"], classes, getattr(spec.config, "regularizer", ""))
    except NotConvergedError as verdict:
        raise NotConvergedError(str(verdict), details["history"]) from None
    network.to(workspace.device).eval().requires_grad_(False)
    return FittedClassifier(classifier=network, key=key, history=details["history"])


def is_fitted(spec: ClassifierSpec, dataset: Dataset, workspace: Workspace) -> bool:
    """Whether the store says to hold the classifier; its bytes are not read."""
    store = workspace.store
    return store.holds("classifiers", store.key("classifiers", _classifier_identity(spec, dataset)))


def _classifier_identity(spec: ClassifierSpec, dataset: Dataset) -> dict[str, Any]:
    entry = DEFENSES.get(spec.name)
    assert isinstance(entry, ClassifierEntry)
    return {
        "spec": spec,
        "classes": len(dataset.class_names),
        "dataset": dataset.digest,
        "code": classifier_code(entry),
    }


def check_detector(spec: DetectorSpec, of: ClassifierSpec, dataset: Dataset) -> None:
    """Raise `RequestError` when the classifier's training images are too few to fit the detector on."""
    entry = DEFENSES.get(spec.name)
    assert isinstance(entry, DetectorEntry)
    entry.check(training_part(of, dataset).labels, spec.config)


def fit_detector(
    spec: DetectorSpec, fitted: FittedClassifier, of: ClassifierSpec, dataset: Dataset, workspace: Workspace
) -> FittedDetector:
    """Fit what comes before the logistic regression on the classifier's training images, or load it.

    Raises:
        RequestError: the training set is too small.
    """
    entry = DEFENSES.get(spec.name)
    assert isinstance(entry, DetectorEntry)
    store, device = workspace.store, workspace.device
    identity = {
        "classifier": fitted.key,
        "detector": spec.name,
        "config": spec.config,
        "seed": of.seed,
        "code": detector_code(entry),
    }
    key = store.key("detectors", identity)

    def fit() -> Item:
        data = training_part(of, dataset).to(device)
        with workspace.progress.task(f"fitting {spec.name} on {len(data)} images", 1) as task:
            detector = entry.fit(fitted.network, data, spec.config, of.seed)
            task.advance()
        return store.save("detectors", key, spec=identity, tensors=detector.tensors(), details={})

    item = store.once("detectors", key, fit)
    # restored also when it was just fitted, so that a first and a second run see the same bytes
    tensors = {name: tensor.to(device) for name, tensor in item.tensors.items()}
    return FittedDetector(detector=entry.restore(tensors, spec.config), key=key)


def _accuracy(network: Classifier, spec: ClassifierSpec, dataset: Dataset, workspace: Workspace) -> float:
    """Share of (at most `MOST_CHECKED`) training images that the network, in eval mode, gets right."""
    part = training_part(spec, dataset)
    checked = part.take(torch.arange(min(len(part), MOST_CHECKED))).to(workspace.device)
    predictions = logits_of_all(network.eval(), checked.images()).argmax(dim=1)
    return float((predictions == checked.labels).float().mean())


def _fits(network: Classifier, tensors: dict[str, Tensor]) -> bool:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        log.warning("stored weights do not fit the network (%s); it is trained again", str(error).splitlines()[0])
        return False
    return True


def _train(
    entry: ClassifierEntry,
    network: Classifier,
    spec: ClassifierSpec,
    dataset: Dataset,
    workspace: Workspace,
    checkpoints: Checkpoints,
) -> list[EpochSummary]:
    device = workspace.device
    data = training_part(spec, dataset).to(device)
    network.to(device)
    devices = [device] if device.type == "cuda" else []
    with (
        workspace.progress.task(f"training {spec.name} on {len(data)} images", spec.config.epochs) as task,
        torch.random.fork_rng(devices=devices),  # dropout draws from the global generator and takes no other
    ):
        torch.manual_seed(spec.seed)
        assert entry.train is not None
        journal = CheckpointJournal(checkpoints=checkpoints, task=task)
        return entry.train(network, data, spec.config, spec.seed, journal)
