"""A detector ready to judge: fitted on the training set, its logistic regression on set I.

Source: supplement Algorithm 1, lines 6 to 11.
"""

from dataclasses import dataclass

import pandas as pd

from bench.exhibits import Studio
from bench.fitting import FittedDetector
from bench.judge import Exhibit, judge, scores_of
from bench.outcomes import select, stacked
from bench.protocol import Sets
from bench.spec import DetectorSpec
from bench.stations import Clock
from defenses.contract import Detector
from defenses.detectors.decision import Decision, fit_decision


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSet:
    """One set, judged but for the verdict.

    rows: see `bench.outcomes`; clean, noisy, adversarial: its images; noise: how large, and how large it should be.
    """

    rows: pd.DataFrame
    clean: Exhibit
    noisy: Exhibit
    adversarial: Exhibit
    noise: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedDetector:
    """fitted: the detector; decision: its logistic regression; fit: set I; keys: of its crafted chunks."""

    fitted: FittedDetector
    decision: Decision
    fit: JudgedSet
    keys: tuple[str, ...]

    @property
    def detector(self) -> Detector:
        """What comes before the logistic regression."""
        return self.fitted.detector


def train_detector(studio: Studio, spec: DetectorSpec, sets: Sets, clock: Clock) -> TrainedDetector:
    """Fit the detector, attack and judge set I, and fit the logistic regression on it.

    Raises:
        RequestError: the training set or set I is too small.
        AttackError: an attack left its ball or the box.
    """
    with clock.station("fit"):
        fitted = studio.fit_detector(spec)
    with clock.station("craft"):
        clean = studio.clean("fit", sets.fit)
        attacked, crafted = studio.attacked_for_training(clean, spec.train_attack, spec.train_attack_config)
    with clock.station("judge"):
        judged = judge_set(studio, spec, fitted.detector, clean, attacked)
        decision = fit_decision(
            scores_of(select(judged.rows, role="fit", kind=("clean", "noisy"))),
            scores_of(select(judged.rows, role="fit", kind="adversarial")),
            studio.spec.seed,
            spec.class_weight,
        )
    return TrainedDetector(fitted=fitted, decision=decision, fit=judged, keys=crafted.keys)


def judge_set(
    studio: Studio, spec: DetectorSpec, detector: Detector, clean: Exhibit, adversarial: Exhibit
) -> JudgedSet:
    """Judge one set, with noisy images as large as the adversarial ones that count."""
    classifier = studio.fitted.classifier
    attacked = judge(classifier, detector, adversarial)
    is_partial = clean.role == "test" and spec.counted == "reached" and attacked["reached"].any()
    counted = attacked[attacked["reached"]] if is_partial else attacked
    wanted = float(counted["l2"].mean()) if spec.noise_l2 is None else spec.noise_l2
    exhibit, noisy = studio.noisy(clean, wanted)
    frames = [judge(classifier, detector, clean), judge(classifier, detector, exhibit), attacked]
    return JudgedSet(
        rows=stacked(frames),
        clean=clean,
        noisy=exhibit,
        adversarial=adversarial,
        noise={"sigma": noisy.sigma, "mean_l2": noisy.mean_l2, "wanted_mean_l2": wanted},
    )
