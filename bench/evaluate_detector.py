"""A detector under attack: the logistic regression is fitted on set I, set II is judged.

Source: supplement Algorithm 1, lines 6 to 13.
"""

from typing import Any

import pandas as pd

from attacks.registry import ATTACKS
from bench.exhibits import Studio
from bench.findings import Findings, attack_notes
from bench.judge import Exhibit, decide, judge, scores_of
from bench.metrics.classification import attack_metrics
from bench.metrics.detection import Metrics, detection_metrics
from bench.outcomes import select, stacked
from bench.protocol import Sets
from bench.spec import DetectorSpec, RunSpec
from bench.stations import Clock
from bench.vanishing import vanishing_metrics, vanishing_note, with_gradients
from defenses.contract import Detector
from defenses.detectors.decision import Decision, fit_decision

NOISE_TOLERANCE = 0.01  # of the attack's mean L2; beyond it the noise is said to fall short


def evaluate_detector(studio: Studio, detector_spec: DetectorSpec, sets: Sets, clock: Clock) -> Findings:
    """Fit the detector, attack both sets, judge them, and decide.

    Raises:
        RequestError: the training set or set I is too small.
        AttackError: an attack left its ball or the box.
    """
    spec = studio.spec
    only_reached = detector_spec.counted == "reached"
    with clock.station("fit"):
        fitted = studio.fit_detector(detector_spec)
        detector = fitted.detector
    with clock.station("craft"):
        test = studio.clean("test", sets.test)
        attacked_test, crafted = studio.attacked(test)
        fit = studio.clean("fit", sets.fit)
        attacked_fit, crafted_fit = studio.attacked_for_training(
            fit, detector_spec.train_attack, detector_spec.train_attack_config
        )
    with clock.station("judge"):
        fit_rows, noisy_fit, fit_noise = _judge_set(studio, detector_spec, detector, fit, attacked_fit)
        test_rows, noisy_test, test_noise = _judge_set(studio, detector_spec, detector, test, attacked_test)
        decision = fit_decision(
            scores_of(select(fit_rows, role="fit", kind=("clean", "noisy"))),
            scores_of(select(fit_rows, role="fit", kind="adversarial")),
            spec.seed,
            detector_spec.class_weight,
        )
        rows = stacked([fit_rows, test_rows])
        outcomes = decide(rows, decision, only_reached=only_reached)
        outcomes = with_gradients(outcomes, crafted.vanished.numpy(), studio.unmet(attacked_test).numpy())
    noise = {"fit": fit_noise, "test": test_noise}
    return Findings(
        outcomes=outcomes,
        metrics=detector_metrics(outcomes),
        detector=_description(detector, decision, noise),
        notes=attack_notes(outcomes, spec.attack_config)
        + vanishing_note(outcomes, follows_gradients=ATTACKS.get(spec.attack).follows_gradients)
        + _floor_note(spec, outcomes)
        + _direction_note(decision, detector.score_names)
        + _noise_notes(noise),
        stored={"detector": fitted.key, "test": crafted.keys, "fit": crafted_fit.keys},
        trace=crafted.trace,
        exhibits=[test, noisy_test, attacked_test],
        fit_exhibits=[fit, noisy_fit, attacked_fit],
    )


def detector_metrics(outcomes: pd.DataFrame) -> Metrics:
    """Every number that follows from the rows of a detector's run."""
    return detection_metrics(outcomes) | attack_metrics(outcomes) | vanishing_metrics(outcomes)


def _judge_set(
    studio: Studio, spec: DetectorSpec, detector: Detector, clean: Exhibit, adversarial: Exhibit
) -> tuple[pd.DataFrame, Exhibit, dict[str, float]]:
    """Rows of one set, its noisy images, and how large their noise is; by default as the attack that counts."""
    classifier = studio.fitted.classifier
    attacked = judge(classifier, detector, adversarial)
    is_partial = clean.role == "test" and spec.counted == "reached" and attacked["reached"].any()
    counted = attacked[attacked["reached"]] if is_partial else attacked
    wanted = float(counted["l2"].mean()) if spec.noise_l2 is None else spec.noise_l2
    exhibit, noisy = studio.noisy(clean, wanted)
    frames = [judge(classifier, detector, clean), judge(classifier, detector, exhibit), attacked]
    described = {"sigma": noisy.sigma, "mean_l2": noisy.mean_l2, "wanted_mean_l2": wanted}
    return stacked(frames), exhibit, described


def _description(detector: Detector, decision: Decision, noise: dict[str, dict[str, float]]) -> dict[str, Any]:
    tensors = detector.tensors()
    return {
        "scores": list(detector.score_names),
        "weights": decision.weights.tolist(),
        "intercept": decision.intercept,
        "bandwidth_h": float(tensors["bandwidth"]) if "bandwidth" in tensors else None,
        "noise": noise,
    }


def _floor_note(spec: RunSpec, outcomes: pd.DataFrame) -> list[str]:
    """Under the paper's protocol ACC-COM has a floor that owes nothing to the detector."""
    if spec.protocol != "paper":
        return []
    adversarial = select(outcomes, kind="adversarial")
    is_own = adversarial["label"] == adversarial["goal_class"]
    unmoved = int((adversarial["correct"] & ~is_own).sum())
    return [
        f"ACC-COM is {adversarial['correct'].mean():.0%} when nothing is flagged: of {len(adversarial)} images "
        f"{int(is_own.sum())} belong to the target class and {unmoved} more are still classified correctly"
    ]


def _direction_note(decision: Decision, score_names: tuple[str, ...]) -> list[str]:
    """Whether a density detector learned to flag low or high densities: the paper assumes low."""
    if len(decision.weights) != 1:
        return []
    side = "low" if decision.weights[0] < 0 else "high"
    return [f"the logistic regression learned on set I to flag {side} {score_names[0].replace('_', '-')}"]


def _noise_notes(noise: dict[str, dict[str, float]]) -> list[str]:
    return [
        f"no Gaussian noise is as large as wanted on set {number} (mean L2 {part['mean_l2']:.2f} "
        f"of {part['wanted_mean_l2']:.2f})"
        for number, part in (("I", noise["fit"]), ("II", noise["test"]))
        if part["wanted_mean_l2"] - part["mean_l2"] > NOISE_TOLERANCE * part["wanted_mean_l2"]
    ]
