"""A detector under attack: trained on set I, judged on set II.

Source: supplement Algorithm 1, lines 12 and 13.
"""

from typing import Any

import pandas as pd

from attacks.registry import ATTACKS
from bench.exhibits import Studio
from bench.findings import Findings, attack_notes
from bench.guard import guard_of
from bench.judge import Exhibit, decide
from bench.metrics.classification import attack_metrics
from bench.metrics.detection import Metrics, detection_metrics
from bench.order import Guard
from bench.outcomes import select, stacked
from bench.protocol import Sets
from bench.spec import ADAPTIVE, DetectorSpec, RunSpec
from bench.stations import Clock
from bench.trained_detector import TrainedDetector, judge_set, train_detector
from bench.vanishing import vanishing_metrics, vanishing_note, with_gradients
from defenses.detectors.decision import Decision

NOISE_TOLERANCE = 0.01  # of the attack's mean L2; beyond it the noise is said to fall short


def evaluate_detector(studio: Studio, detector_spec: DetectorSpec, sets: Sets, clock: Clock) -> Findings:
    """Fit the detector, attack both sets, judge them, and decide.

    Raises:
        RequestError: the training set or set I is too small.
        AttackError: an attack left its ball or the box.
    """
    spec, entry = studio.spec, ATTACKS.get(studio.spec.attack)
    trained = train_detector(studio, detector_spec, sets, clock)
    test = studio.clean("test", sets.test)
    with clock.station("judge"):
        guard = guard_for(studio, trained, test)
    with clock.station("craft"):
        attacked, crafted = studio.attacked(test, guard)
    with clock.station("judge"):
        judged = judge_set(studio, detector_spec, trained.detector, test, attacked)
        rows = stacked([trained.fit.rows, judged.rows])
        outcomes = decide(rows, trained.decision, only_reached=detector_spec.counted == "reached")
        outcomes = with_gradients(outcomes, crafted.vanished.numpy(), studio.unmet(attacked).numpy())
    noise = {"fit": trained.fit.noise, "test": judged.noise}
    return Findings(
        outcomes=outcomes,
        metrics=detector_metrics(outcomes),
        detector=_description(trained, noise) | _threat(guard),
        notes=attack_notes(outcomes, spec.attack_config)
        + vanishing_note(outcomes, follows_gradients=entry.follows_gradients)
        + _guard_note(guard, has_members=bool(entry.members))
        + _floor_note(spec, outcomes)
        + _direction_note(trained.decision, trained.detector.score_names)
        + _noise_notes(noise),
        stored={"detector": trained.fitted.key, "test": crafted.keys, "fit": trained.keys},
        trace=crafted.trace,
        exhibits=[judged.clean, judged.noisy, judged.adversarial],
        fit_exhibits=[trained.fit.clean, trained.fit.noisy, trained.fit.adversarial],
    )


def guard_for(studio: Studio, trained: TrainedDetector, test: Exhibit) -> Guard | None:
    """What an attack meets that knows the detector; None for all others."""
    if not ATTACKS.get(studio.spec.attack).is_aware:
        return None
    return guard_of(studio, trained.fitted, trained.decision, test)


def detector_metrics(outcomes: pd.DataFrame) -> Metrics:
    """Every number that follows from the rows of a detector's run."""
    return detection_metrics(outcomes) | attack_metrics(outcomes) | vanishing_metrics(outcomes)


def _description(trained: TrainedDetector, noise: dict[str, dict[str, float]]) -> dict[str, Any]:
    tensors, decision = trained.detector.tensors(), trained.decision
    return {
        "scores": list(trained.detector.score_names),
        "weights": decision.weights.tolist(),
        "intercept": decision.intercept,
        "bandwidth_h": float(tensors["bandwidth"]) if "bandwidth" in tensors else None,
        "noise": noise,
    }


def _threat(guard: Guard | None) -> dict[str, Any]:
    """What an attacker who knew the detector was shown of it; of any other, nothing."""
    if guard is None:
        return {}
    return {
        "threat": ADAPTIVE,
        "has_gradients": guard.watched.is_differentiable,
        "threshold_log_odds": guard.identity["threshold"],
        "spread_log_odds": guard.identity["spread"],
        "guides": len(guard.watched.guides.classes),
    }


def _guard_note(guard: Guard | None, *, has_members: bool) -> list[str]:
    if guard is None or guard.watched.is_differentiable or not has_members:
        return []
    return [
        "the detector's score offers no gradients: it was attacked by transfer, by Square on the joint decision and by "
        "feature matching, which a follower of its gradients may surpass"
    ]


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
