"""The detector as an attack that knows it meets it: fitted on set I, with the thresholds that clean images give it.

Source: Carlini & Wagner 2017, arXiv:1705.07263, section 2.2. The attacker aims below both thresholds that a run
reports, probability 0.5 and that of 5 % false positives [D].
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from bench.code_version import code_version
from bench.datasets.contract import Split
from bench.exhibits import Studio
from bench.fitting import FittedDetector, training_part
from bench.judge import FLAG_FROM, Exhibit, judge, scores_of
from bench.metrics.detection import MOST_FALSE_POSITIVES, threshold_at
from bench.order import Guard
from defenses.detectors.decision import Decision
from defenses.watch import Alarm, Watch

CANDIDATES = 100  # training images of each class that may guide an attack
LEAST_PROBABILITY = 1e-200  # of a threshold, so that its log-odds are finite


def guard_of(studio: Studio, fitted: FittedDetector, decision: Decision, clean: Exhibit) -> Guard:
    """The guard of a run.

    Args:
        studio: of the run.
        fitted: the detector.
        decision: its logistic regression, fitted on set I.
        clean: the clean images of set II, which give the threshold of 5 % false positives.
    """
    classifier = studio.fitted.network
    probabilities = decision.probability(scores_of(judge(classifier, fitted.detector, clean)))
    threshold = min(FLAG_FROM, threshold_at(probabilities, MOST_FALSE_POSITIVES))
    alarm = Alarm(
        decision=decision,
        threshold=float(_log_odds(np.array([threshold]))[0]),
        spread=float(_log_odds(probabilities).std()),
    )
    spec = studio.spec.classifier
    candidates = _candidates(training_part(spec, studio.dataset), spec.seed).to(studio.workspace.device)
    watch = Watch(classifier, fitted.detector, alarm, images=candidates.images(), labels=candidates.labels)
    return Guard(
        watched=watch,
        identity={
            "code": code_version(Watch),
            "detector": fitted.key,
            "weights": decision.weights.tolist(),
            "mean": decision.mean.tolist(),
            "scale": decision.scale.tolist(),
            "intercept": decision.intercept,
            "threshold": alarm.threshold,
            "spread": alarm.spread,
        },
    )


def _log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probabilities, LEAST_PROBABILITY, 1 - np.finfo(np.float64).epsneg)
    odds: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return odds


def _candidates(data: Split, seed: int) -> Split:
    """Up to `CANDIDATES` random training images of every class."""
    order = torch.randperm(len(data), generator=Generator().manual_seed(seed))
    chosen: list[Tensor] = [order[data.labels[order] == label][:CANDIDATES] for label in data.labels.unique()]
    return data.take(torch.cat(chosen))
