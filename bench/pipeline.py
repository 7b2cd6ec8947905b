"""A run, station by station: dataset -> fitted defense -> crafted images -> judged outcomes -> record."""

import logging

import torch
from torch import Tensor

from attacks.errors import NotConvergedError
from attacks.registry import ATTACKS
from bench.canonical import plain
from bench.code_version import code_version
from bench.crafting import Order
from bench.datasets.contract import Dataset
from bench.embedding import embedding_distance
from bench.evaluate_classifier import evaluate_classifier
from bench.evaluate_detector import evaluate_detector
from bench.exhibits import Studio
from bench.findings import Findings
from bench.fitting import FittedClassifier, classifier_code, detector_code, fit_classifier
from bench.inference import logits_of_all, require_finite_logits
from bench.methods_table import save_latex
from bench.metrics.rates import rate
from bench.pictures import save_examples
from bench.protocol import choose_sets
from bench.provenance import provenance
from bench.record import Record, load_record, save_record
from bench.spec import RunSpec
from bench.stations import Clock
from bench.traces import TRACE, save_trace
from bench.user_model import UserModel
from bench.workspace import Workspace
from defenses.contract import ClassifierEntry, DetectorEntry
from defenses.registry import DEFENSES

log = logging.getLogger("erbench")
PART = 1000  # test images held as floats at once


def run_cell(spec: RunSpec, dataset: Dataset, workspace: Workspace, user_model: UserModel | None = None) -> Record:
    """Run one cell, or read its record when it has been run before.

    A run leaves `runs/<hash>/` with `outcomes.parquet`, `examples.png`, `table.tex`, `trace.parquet` when traces are
    kept, and, last, `record.json`.

    Args:
        spec: the cell.
        dataset: its data.
        workspace: where it runs.
        user_model: the model of a spec that names the user's own.

    Raises:
        RequestError: the data do not hold what the spec asks for.
        AttackError: an attack broke its own promise.
        ModelError: the model gives NaN, or gradients that say nothing.
        DataError: the results folder cannot be written to.
    """
    run_id = spec.run_id(dataset.digest)
    folder = workspace.run_dir(run_id)
    known = load_record(folder)
    if known is not None and known.status != "error":
        is_current = known.code == code_of(spec)
        if is_current and (not workspace.traced or (folder / TRACE).exists()):
            return known
        if not is_current:
            log.warning("%s was made by other code than today's; it is made again", folder)
    clock = Clock()
    try:
        with clock.station("fit"):
            fitted = _fitted(spec, dataset, workspace, user_model)
            embedding = embedding_distance(spec.classifier, fitted, dataset, workspace)
    except NotConvergedError as verdict:
        record = make_record(spec, dataset, workspace, clock, status="not-converged", message=str(verdict))
        save_record(folder, record, None)
        return record

    findings = _evaluate(spec, dataset, fitted, workspace, clock)
    findings.metrics.update({"embedding": embedding} if embedding else {})
    record = make_record(spec, dataset, workspace, clock, fitted=fitted, findings=findings)
    save_examples(folder / "examples.png", findings.exhibits, findings.outcomes, dataset.class_names, spec.label)
    save_latex(folder / "table.tex", [record])
    if findings.trace is not None:
        save_trace(folder / TRACE, findings.trace, findings.exhibits[-1].sample_ids)
    save_record(folder, record, findings.outcomes)
    return record


def open_studio(spec: RunSpec, dataset: Dataset, workspace: Workspace, user_model: UserModel | None = None) -> Studio:
    """Fit, or find, the classifier of a cell and predict the test split; arguments as `run_cell`."""
    fitted = _fitted(spec, dataset, workspace, user_model)
    logits = _test_logits(fitted, dataset, workspace.device)
    return Studio(spec=spec, dataset=dataset, fitted=fitted, workspace=workspace, logits=logits)


def _fitted(spec: RunSpec, dataset: Dataset, workspace: Workspace, user_model: UserModel | None) -> FittedClassifier:
    return user_model.fitted(workspace.device) if user_model else fit_classifier(spec.classifier, dataset, workspace)


def code_of(spec: RunSpec) -> dict[str, str]:
    """Versions of the code that a run's numbers come from: attacks, classifier and detector."""
    classifier = DEFENSES.get(spec.classifier.name)
    assert isinstance(classifier, ClassifierEntry)
    order = Order(attack=spec.attack, config=spec.attack_config, backend=spec.backend)
    versions = {"attack": order.code(), "classifier": classifier_code(classifier)}
    if spec.detector is not None:
        detector = DEFENSES.get(spec.detector.name)
        assert isinstance(detector, DetectorEntry)
        versions["detector"] = detector_code(detector)
        versions["train_attack"] = code_version(ATTACKS.get(spec.detector.train_attack).attack)
    return versions


def _evaluate(
    spec: RunSpec, dataset: Dataset, fitted: FittedClassifier, workspace: Workspace, clock: Clock
) -> Findings:
    with clock.station("predict"):
        logits = _test_logits(fitted, dataset, workspace.device)
    studio = Studio(spec=spec, dataset=dataset, fitted=fitted, workspace=workspace, logits=logits)
    correct = studio.correct
    sets = choose_sets(
        spec.protocol,
        correct=correct,
        labels=dataset.test.labels,
        target=spec.target,
        n_fit=spec.detector.n_fit if spec.detector else 0,
        n_test=spec.n_test,
        seed=spec.seed,
    )
    if spec.detector is None:
        findings = evaluate_classifier(studio, sets, clock)
    else:
        findings = evaluate_detector(studio, spec.detector, sets, clock)
    findings.metrics["clean_accuracy"] = rate(int(correct.sum()), len(correct))
    return findings


def _test_logits(fitted: FittedClassifier, dataset: Dataset, device: torch.device) -> Tensor:
    """Logits of every clean test image, (n, classes) float32 on the CPU."""
    parts = torch.arange(len(dataset.test)).split(PART)
    logits = [logits_of_all(fitted.classifier, dataset.test.images(part).to(device)).cpu() for part in parts]
    whole = torch.cat(logits)
    require_finite_logits(whole, torch.arange(len(whole)))
    return whole


def make_record(
    spec: RunSpec,
    dataset: Dataset,
    workspace: Workspace,
    clock: Clock,
    *,
    status: str = "done",
    message: str = "",
    fitted: FittedClassifier | None = None,
    findings: Findings | None = None,
) -> Record:
    """The record of a cell, finished or not; an unfinished one has a status, a message, and no numbers."""
    return Record(
        run_id=spec.run_id(dataset.digest),
        status=status,
        message=message,
        label=spec.label,
        spec=plain(spec),
        dataset_digest=dataset.digest,
        code=code_of(spec),
        metrics=plain(findings.metrics) if findings else {},
        training=fitted.history if fitted else [],
        detector=findings.detector if findings else {},
        notes=findings.notes if findings else [],
        seconds=dict(clock.seconds),
        provenance=provenance(workspace.device),
        command=workspace.command,
    )
