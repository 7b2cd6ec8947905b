"""A run, station by station: dataset -> fitted defense -> crafted images -> judged outcomes -> record."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from attacks.errors import DamagedError, NotConvergedError
from attacks.registry import ATTACKS
from bench.canonical import plain
from bench.cell import Cell
from bench.code_version import code_version
from bench.command_line import command_line
from bench.datasets.contract import Dataset
from bench.embedding import embedding_distance, fit_twin
from bench.evaluate_classifier import evaluate_classifier
from bench.evaluate_detector import evaluate_detector, guard_for
from bench.exhibits import Studio
from bench.findings import Findings
from bench.fitting import FittedClassifier, classifier_code, detector_code, fit_classifier
from bench.inference import logits_of_all, require_finite_logits
from bench.metrics.rates import rate
from bench.order import Order
from bench.pictures import save_examples
from bench.protocol import Sets, choose_sets
from bench.provenance import provenance
from bench.record import Record, read_record, save_record
from bench.sanity.contract import Flag
from bench.sanity.examine import case_of, default_flags
from bench.spec import RunSpec
from bench.stations import Clock
from bench.storage.claims import BusyError
from bench.storage.store import Item
from bench.tables.methods_table import save_latex
from bench.traces import TRACE, save_trace
from bench.trained_detector import train_detector
from bench.workspace import Workspace
from defenses.contract import ClassifierEntry, DetectorEntry
from defenses.registry import DEFENSES
from defenses.watch import Watch

log = logging.getLogger("erbench")
PART = 1000  # test images held as floats at once


def known_record(cell: Cell, workspace: Workspace, *, told: bool = False) -> Record | None:
    """The record of a cell that needs no work: finished, by today's code; or failed since the sweep began.

    Args:
        cell: what to run.
        workspace: where it runs.
        told: why a record is not taken has been said already.

    Raises:
        DataError: a newer version of the program wrote it.
    """
    folder = workspace.run_dir(cell.run_id)
    try:
        known = read_record(folder)
    except DamagedError as error:
        log.log(logging.DEBUG if told else logging.WARNING, "%s; it is made again", error)
        return None
    if known is None:
        return None
    if known.status == "error":
        return known if known.provenance["created"] >= workspace.started else None
    if known.code != code_of(cell.spec):
        level = logging.DEBUG if told else logging.WARNING
        log.log(level, "%s was made by other code than today's; it is made again", folder)
        return None
    return None if workspace.traced and not (folder / TRACE).exists() else known


def run_cell(cell: Cell, workspace: Workspace, clock: Clock | None = None) -> Record:
    """Run one cell, or read its record when it has been run before, here or by another process that runs it now.

    A run leaves `runs/<hash>/` with `outcomes.parquet`, `examples.png`, `table.tex`, `trace.parquet` when traces are
    kept, and, last, `record.json`.

    Args:
        cell: what to run.
        workspace: where it runs.
        clock: gets the times of this try, beside those of tries that were given up.

    Raises:
        RequestError: the data do not hold what the spec asks for.
        AttackError: an attack broke its own promise.
        ModelError: the model gives NaN, or gradients that say nothing.
        DataError: the results folder cannot be written to.
    """
    if known := known_record(cell, workspace):
        return known
    with workspace.store.claims.held(claim_name(cell)):
        return known_record(cell, workspace, told=True) or run_claimed(cell, workspace, clock)


def claim_name(cell: Cell) -> str:
    """What a cell is called among the claims."""
    return f"run-{cell.run_id}"


def run_claimed(cell: Cell, workspace: Workspace, clock: Clock | None = None) -> Record:
    """Run a cell, whatever is known of it; as `run_cell`, for whoever holds its claim.

    Raises:
        BusyError: another process is at something that it needs, for longer than the workspace's patience.
    """
    folder, clock, fitted = workspace.run_dir(cell.run_id), clock or Clock(), None
    try:
        with clock.station("fit"):
            fitted = _fitted_or_twin_meanwhile(cell, workspace)
            twin = fit_twin(cell.spec.classifier, cell.dataset, workspace)
            embedding = embedding_distance(cell.spec.classifier, fitted, twin, cell.dataset)
    except NotConvergedError as verdict:
        history = fitted.history if fitted else verdict.history  # the twin's is not the classifier's
        message = str(verdict)
        record = make_record(cell, workspace, clock, status="not-converged", message=message, history=history)
        save_record(folder, record, None)
        return record

    with clock.station("predict"):
        studio = _studio(cell, fitted, workspace)
    findings = evaluate(studio, clock)
    with clock.station("sanity"):
        flags = default_flags(lambda: case_of(studio, findings.exhibits, findings.outcomes, findings.metrics))
    findings.metrics.update({"embedding": embedding} if embedding else {})
    findings.stored.update({"unregularized": twin.key} if twin else {})
    record = make_record(cell, workspace, clock, fitted=fitted, findings=findings, flags=flags)
    save_examples(
        folder / "examples.png", findings.exhibits, findings.outcomes, cell.dataset.class_names, cell.spec.label
    )
    save_latex(folder / "table.tex", [record])
    if findings.trace is not None:
        save_trace(folder / TRACE, findings.trace, findings.exhibits[-1].sample_ids)
    save_record(folder, record, findings.outcomes)
    return record


def help_with(cell: Cell, workspace: Workspace) -> None:
    """Craft those of a cell's images that nobody works on, while another process has its claim."""
    studio = open_studio(cell, workspace)
    sets = _sets(studio)
    test, detector = studio.clean("test", sets.test), cell.spec.detector
    if detector and ATTACKS.get(cell.spec.attack).is_aware:  # it meets the detector, which set I makes
        studio.attacked(test, guard_for(studio, train_detector(studio, detector, sets, Clock()), test))
        return
    studio.attacked(test)
    if detector:
        fit = studio.clean("fit", sets.fit)
        studio.attacked_for_training(fit, detector.train_attack, detector.train_attack_config)


def open_studio(cell: Cell, workspace: Workspace) -> Studio:
    """Fit, or find, the classifier of a cell and predict the test split."""
    return _studio(cell, _fitted(cell, workspace), workspace)


def _studio(cell: Cell, fitted: FittedClassifier, workspace: Workspace) -> Studio:
    store, identity = workspace.store, {"classifier": fitted.key, "dataset": cell.dataset.digest}
    key = store.key("logits", identity)

    def predict() -> Item:
        logits = clean_logits(fitted, cell.dataset, workspace.device)
        return store.save("logits", key, spec=identity, tensors={"logits": logits}, details={})

    logits = store.once("logits", key, predict).tensors["logits"]
    return Studio(spec=cell.spec, dataset=cell.dataset, fitted=fitted, workspace=workspace, logits=logits)


def _fitted_or_twin_meanwhile(cell: Cell, workspace: Workspace) -> FittedClassifier:
    """The cell's classifier; where `BusyError` says that another process is training it, its twin is trained first."""
    try:
        return _fitted(cell, workspace)
    except BusyError:
        with suppress(NotConvergedError):  # told by whoever runs the cell
            fit_twin(cell.spec.classifier, cell.dataset, workspace)
        raise


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
        if ATTACKS.get(spec.attack).is_aware:
            versions["guard"] = code_version(Watch)
    return versions


def _sets(studio: Studio) -> Sets:
    spec = studio.spec
    return choose_sets(
        spec.protocol,
        correct=studio.correct,
        labels=studio.dataset.test.labels,
        target=spec.target,
        n_fit=spec.detector.n_fit if spec.detector else 0,
        n_test=spec.n_test,
        seed=spec.seed,
    )


def evaluate(studio: Studio, clock: Clock) -> Findings:
    """Attack and judge; all that follows from the images, but nothing of the embedding."""
    spec, sets = studio.spec, _sets(studio)
    if spec.detector is None:
        findings = evaluate_classifier(studio, sets, clock)
    else:
        findings = evaluate_detector(studio, spec.detector, sets, clock)
    correct = studio.correct
    findings.metrics["clean_accuracy"] = rate(int(correct.sum()), len(correct))
    return findings


def clean_logits(fitted: FittedClassifier, dataset: Dataset, device: torch.device) -> Tensor:
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
    flags: Sequence[Flag] = (),
    history: list[dict[str, Any]] | None = None,
) -> Record:
    """The record of a cell, finished or not; an unfinished one has a status, a message, and no numbers.

    Its `history` is that of a training that failed.
    """
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
        training=fitted.history if fitted else history or [],
        detector=findings.detector if findings else {},
        notes=findings.notes if findings else [],
        flags=plain(list(flags)),
        seconds=dict(clock.seconds),
        cpu_seconds=dict(clock.cpu_seconds),
        provenance=provenance(workspace.device),
        command=command_line(cell.request),
    )


def _stored(fitted: FittedClassifier | None, findings: Findings | None) -> dict[str, Any]:
    if fitted is None or findings is None:
        return {}
    return {"classifier": fitted.key} | findings.stored
