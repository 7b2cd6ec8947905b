"""A run, station by station: dataset -> fitted defense -> crafted images -> judged outcomes -> record."""

import logging
from typing import Any

import torch
from torch import Tensor

from attacks.errors import NotConvergedError
from attacks.registry import ATTACKS
from bench.canonical import plain
from bench.cell import Cell
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
from bench.workspace import Workspace
from defenses.contract import ClassifierEntry, DetectorEntry
from defenses.registry import DEFENSES

log = logging.getLogger("erbench")
PART = 1000  # test images held as floats at once


def run_cell(cell: Cell, workspace: Workspace) -> Record:
    """Run one cell, or read its record when it has been run before.

    A run leaves `runs/<hash>/` with `outcomes.parquet`, `examples.png`, `table.tex`, `trace.parquet` when traces are
    kept, and, last, `record.json`.

    Args:
        cell: what to run.
        workspace: where it runs.

    Raises:
        RequestError: the data do not hold what the spec asks for.
        AttackError: an attack broke its own promise.
        ModelError: the model gives NaN, or gradients that say nothing.
        DataError: the results folder cannot be written to.
    """
    spec, dataset = cell.spec, cell.dataset
    folder = workspace.run_dir(cell.run_id)
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
            fitted = _fitted(cell, workspace)
            embedding = embedding_distance(spec.classifier, fitted, dataset, workspace)
    except NotConvergedError as verdict:
        record = make_record(cell, workspace, clock, status="not-converged", message=str(verdict))
        save_record(folder, record, None)
        return record

    findings = _evaluate(cell, fitted, workspace, clock)
    findings.metrics.update({"embedding": embedding} if embedding else {})
    record = make_record(cell, workspace, clock, fitted=fitted, findings=findings)
    save_examples(folder / "examples.png", findings.exhibits, findings.outcomes, dataset.class_names, spec.label)
    save_latex(folder / "table.tex", [record])
    if findings.trace is not None:
        save_trace(folder / TRACE, findings.trace, findings.exhibits[-1].sample_ids)
    save_record(folder, record, findings.outcomes)
    return record


def open_studio(cell: Cell, workspace: Workspace) -> Studio:
    """Fit, or find, the classifier of a cell and predict the test split."""
    return _studio(cell, _fitted(cell, workspace), workspace)


def _studio(cell: Cell, fitted: FittedClassifier, workspace: Workspace) -> Studio:
    logits = _test_logits(fitted, cell.dataset, workspace.device)
    return Studio(spec=cell.spec, dataset=cell.dataset, fitted=fitted, workspace=workspace, logits=logits)


def _fitted(cell: Cell, workspace: Workspace) -> FittedClassifier:
    if cell.user_model is not None:
        return cell.user_model.fitted(workspace.device)
    return fit_classifier(cell.spec.classifier, cell.dataset, workspace)


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


def _evaluate(cell: Cell, fitted: FittedClassifier, workspace: Workspace, clock: Clock) -> Findings:
    spec, dataset = cell.spec, cell.dataset
    with clock.station("predict"):
        studio = _studio(cell, fitted, workspace)
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
    cell: Cell,
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
        run_id=cell.run_id,
        status=status,
        message=message,
        label=cell.spec.label,
        spec=plain(cell.spec),
        dataset_digest=cell.dataset.digest,
        code=code_of(cell.spec),
        stored=plain(_stored(fitted, findings)),
        request=plain(cell.request),
        metrics=plain(findings.metrics) if findings else {},
        training=fitted.history if fitted else [],
        detector=findings.detector if findings else {},
        notes=findings.notes if findings else [],
        seconds=dict(clock.seconds),
        provenance=provenance(workspace.device),
        command=workspace.command,
    )


def _stored(fitted: FittedClassifier | None, findings: Findings | None) -> dict[str, Any]:
    if fitted is None or findings is None:
        return {}
    return {"classifier": fitted.key} | findings.stored
