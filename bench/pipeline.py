"""A run, station by station: dataset -> fitted defense -> crafted images -> judged outcomes -> record."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from attacks.draws import Draws
from attacks.errors import NotConvergedError
from bench.canonical import plain
from bench.crafting import Victims, craft_all
from bench.datasets.contract import Dataset
from bench.embedding import embedding_distance
from bench.fitting import FittedClassifier, fit_classifier, fit_detector
from bench.inference import logits_of_all
from bench.judge import Exhibit, decide, judge, scores_of
from bench.methods_table import save_latex
from bench.metrics.classification import attack_metrics, classification_metrics
from bench.metrics.detection import detection_metrics
from bench.metrics.rates import rate
from bench.noise import add_noise
from bench.outcomes import select
from bench.pictures import save_examples
from bench.protocol import Sets, choose_goal, choose_sets
from bench.provenance import provenance
from bench.record import Record, load_record, save_record
from bench.spec import DetectorSpec, RunSpec
from bench.workspace import Workspace
from defenses.contract import Detector
from defenses.detectors.decision import Decision, fit_decision


@dataclass(slots=True)
class Clock:
    """Seconds spent in each station."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def station(self, name: str) -> Iterator[None]:
        """Add the block's wall time to a station's."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the stations of one run found, on its way into the record."""

    outcomes: pd.DataFrame
    metrics: dict[str, Any]
    detector: dict[str, Any]
    notes: list[str]
    exhibits: list[Exhibit]


def run_cell(spec: RunSpec, dataset: Dataset, workspace: Workspace) -> Record:
    """Run one cell, or read its record when it has been run before.

    Raises:
        RequestError: the data do not hold what the spec asks for.
        AttackError: an attack broke its own promise.
        DataError: the results folder cannot be written to.
    """
    run_id = spec.run_id(dataset.digest)
    folder = workspace.run_dir(run_id)
    known = load_record(folder)
    if known is not None and known.status != "error":
        return known
    clock = Clock()
    try:
        with clock.station("fit"):
            fitted = fit_classifier(spec.classifier, dataset, workspace)
            embedding = embedding_distance(spec.classifier, fitted, dataset, workspace)
    except NotConvergedError as verdict:
        record = _record(run_id, spec, dataset, workspace, clock, status="not-converged", message=str(verdict))
        save_record(folder, record, None)
        return record
    findings = _find(spec, dataset, fitted, workspace, clock)
    if embedding:
        findings.metrics["embedding"] = embedding
    record = _record(
        run_id, spec, dataset, workspace, clock, status="done", message="", fitted=fitted, findings=findings
    )
    save_examples(folder / "examples.png", findings.exhibits, findings.outcomes, dataset.class_names, spec.label)
    save_latex(folder / "table.tex", [record])
    save_record(folder, record, findings.outcomes)
    return record


def _find(spec: RunSpec, dataset: Dataset, fitted: FittedClassifier, workspace: Workspace, clock: Clock) -> Findings:
    device = workspace.device
    with clock.station("predict"):
        labels = dataset.test.labels
        logits = logits_of_all_test(fitted, dataset, device)  # (test images, classes) on the CPU
        correct = logits.argmax(dim=1) == labels
        sets = choose_sets(
            spec.protocol,
            correct=correct,
            labels=labels,
            target=spec.target,
            n_fit=spec.detector.n_fit if spec.detector else 0,
            n_test=spec.n_test,
            seed=spec.seed,
        )
    crafting = _Crafting(spec=spec, dataset=dataset, fitted=fitted, workspace=workspace, logits=logits)
    with clock.station("craft"):
        test = crafting.exhibits("test", sets.test, spec.attack, spec.attack_config, spec.target)
    clean_accuracy = {"clean_accuracy": rate(int(correct.sum()), len(correct))}
    if spec.detector is None:
        with clock.station("judge"):
            outcomes = pd.concat([judge(fitted.classifier, None, exhibit) for exhibit in test], ignore_index=True)
            metrics = clean_accuracy | classification_metrics(outcomes) | attack_metrics(outcomes)
        return Findings(outcomes=outcomes, metrics=metrics, detector={}, notes=_attack_notes(outcomes), exhibits=test)
    return _detect(spec, spec.detector, crafting, sets, test, clean_accuracy, clock)


def logits_of_all_test(fitted: FittedClassifier, dataset: Dataset, device: torch.device) -> Tensor:
    """Logits of every test image, (n, classes) float32 on the CPU."""
    parts = torch.arange(len(dataset.test)).split(1000)
    return torch.cat([logits_of_all(fitted.classifier, dataset.test.images(part).to(device)).cpu() for part in parts])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crafting:
    """Turns indices of the test split into clean and adversarial exhibits."""

    spec: RunSpec
    dataset: Dataset
    fitted: FittedClassifier
    workspace: Workspace
    logits: Tensor

    def exhibits(self, role: str, ids: Tensor, attack: str, config: Any, target: str) -> list[Exhibit]:
        """The clean images at `ids` and the adversarial ones made of them."""
        device, seed = self.workspace.device, self.spec.seed
        clean = self.dataset.test.images(ids).to(device)
        labels = self.dataset.test.labels[ids]
        draws = Draws(seed=seed, sample_ids=ids)
        goal = choose_goal(target, labels.to(device), self.logits[ids].to(device), draws)
        victims = Victims(images=clean, sample_ids=ids, goal=goal)
        crafted = craft_all(attack, config, self.fitted, victims, seed, self.workspace)
        shared: dict[str, Any] = {"role": role, "sample_ids": ids, "labels": labels, "clean": clean}
        return [
            Exhibit(kind="clean", images=clean, **shared),
            Exhibit(kind="adversarial", images=crafted, goal=goal, config=config, **shared),
        ]


def _detect(
    spec: RunSpec,
    detector_spec: DetectorSpec,
    crafting: _Crafting,
    sets: Sets,
    test: list[Exhibit],
    clean_accuracy: dict[str, Any],
    clock: Clock,
) -> Findings:
    only_reached = spec.protocol == "sound" and spec.confidence > 0
    with clock.station("fit"):
        detector = fit_detector(detector_spec, crafting.fitted, spec.classifier, crafting.dataset, crafting.workspace)
    with clock.station("craft"):
        train = detector_spec.train_attack, detector_spec.train_attack_config
        fit = crafting.exhibits("fit", sets.fit, *train, "none")
    with clock.station("judge"):
        frames, noise, exhibits = [], {}, []
        for pair, counted in ((fit, False), (test, only_reached)):
            rows, noisy, described = _judge_set(pair, detector, crafting, only_reached=counted, seed=spec.seed)
            frames.append(rows)
            noise[pair[0].role] = described
            exhibits.append([pair[0], noisy, pair[1]])
        outcomes = pd.concat(frames, ignore_index=True)
        benign = select(outcomes, role="fit", kind=("clean", "noisy"))
        decision = fit_decision(
            scores_of(benign), scores_of(select(outcomes, role="fit", kind="adversarial")), spec.seed
        )
        outcomes = decide(outcomes, decision, only_reached=only_reached)
        metrics = clean_accuracy | detection_metrics(outcomes) | attack_metrics(outcomes)
    return Findings(
        outcomes=outcomes,
        metrics=metrics,
        detector=_describe(detector, decision, noise),
        notes=_attack_notes(outcomes) + _detector_notes(decision, noise),
        exhibits=exhibits[1],
    )


def _judge_set(
    pair: list[Exhibit], detector: Detector, crafting: _Crafting, *, only_reached: bool, seed: int
) -> tuple[pd.DataFrame, Exhibit, dict[str, float]]:
    """Judge one set's clean, noisy and adversarial images; the noise is as large as the attack that counts."""
    clean, adversarial = pair
    classifier = crafting.fitted.classifier
    judged = judge(classifier, detector, adversarial)
    counted = judged[judged["reached"]] if only_reached and judged["reached"].any() else judged
    wanted = float(counted["l2"].mean())
    noisy = add_noise(clean.images, wanted, Draws(seed=seed, sample_ids=clean.sample_ids))
    exhibit = Exhibit(
        role=clean.role,
        kind="noisy",
        sample_ids=clean.sample_ids,
        labels=clean.labels,
        images=noisy.images,
        clean=clean.images,
    )
    frames = [judge(classifier, detector, clean), judge(classifier, detector, exhibit), judged]
    described = {"sigma": noisy.sigma, "mean_l2": noisy.mean_l2, "attack_mean_l2": wanted}
    return pd.concat(frames, ignore_index=True), exhibit, described


def _describe(detector: Detector, decision: Decision, noise: dict[str, Any]) -> dict[str, Any]:
    tensors = detector.tensors()
    return {
        "scores": list(detector.score_names),
        "weights": decision.weights.tolist(),
        "intercept": decision.intercept,
        "bandwidth": float(tensors["bandwidth"]) if "bandwidth" in tensors else None,
        "noise": noise,
    }


def _attack_notes(outcomes: pd.DataFrame) -> list[str]:
    adversarial = select(outcomes, kind="adversarial")
    if adversarial["reached"].any():
        return []
    return ["no attacked image reached the goal: rates over adversarial images say nothing of the defense"]


def _detector_notes(decision: Decision, noise: dict[str, Any]) -> list[str]:
    notes = []
    if len(decision.weights) == 1:
        side = "low" if decision.weights[0] < 0 else "high"
        notes.append(f"the logistic regression learned on set I to flag {side} log-density")
    for role, described in noise.items():
        if abs(described["mean_l2"] - described["attack_mean_l2"]) > 0.01 * described["attack_mean_l2"]:
            notes.append(
                f"no Gaussian noise is as large as the attack on set '{role}' (mean L2 "
                f"{described['mean_l2']:.2f} of {described['attack_mean_l2']:.2f})"
            )
    return notes


def _record(
    run_id: str,
    spec: RunSpec,
    dataset: Dataset,
    workspace: Workspace,
    clock: Clock,
    *,
    status: str,
    message: str,
    fitted: FittedClassifier | None = None,
    findings: Findings | None = None,
) -> Record:
    return Record(
        run_id=run_id,
        status=status,
        message=message,
        label=spec.label,
        spec=plain(spec),
        dataset_digest=dataset.digest,
        metrics=plain(findings.metrics) if findings else {},
        training=fitted.history if fitted else [],
        detector=findings.detector if findings else {},
        notes=findings.notes if findings else [],
        seconds=dict(clock.seconds),
        provenance=provenance(workspace.device),
        command=workspace.command,
    )
