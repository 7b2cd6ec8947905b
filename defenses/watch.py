"""A classifier and its fitted detector as the one thing that detector-aware attacks deceive.

Source: Carlini & Wagner 2017, arXiv:1705.07263, section 2.2: the attacker knows the detector with all its parameters,
the logistic regression and its threshold, too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.watched import Guides, Seen
from defenses.contract import Classifier, Detector, DifferentiableDetector, Scored
from defenses.detectors.decision import LOWEST_LOG_DENSITY, Decision

LEAST_SPREAD = 1e-6  # in log-odds; keeps a detector that scores all clean images alike divisible


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """From scores to suspicion.

    decision: the logistic regression.
    threshold: in log-odds; above it an image is flagged.
    spread: in log-odds, of clean images; suspicion is told in it.
    """

    decision: Decision
    threshold: float
    spread: float

    def suspicion(self, scores: Tensor) -> Tensor:
        """(m, scores) float64 -> (m,) float32, differentiable; above 0 an image is flagged."""
        decision = self.decision
        finite = scores.nan_to_num(nan=LOWEST_LOG_DENSITY).clamp(min=LOWEST_LOG_DENSITY)
        mean, scale, weights = (scores.new_tensor(part) for part in (decision.mean, decision.scale, decision.weights))
        log_odds = ((finite - mean) / scale) @ weights + decision.intercept
        return ((log_odds - self.threshold) / max(self.spread, LEAST_SPREAD)).to(torch.float32)


class Watch:
    """What an attack is shown of a watched classifier; see `attacks.watched.Watched`.

    Args:
        classifier: in eval mode.
        detector: fitted; its scores are followed where it offers gradients, asked for otherwise.
        alarm: from its scores to suspicion.
        images: (g, c, h, w) float32 in [0, 1], candidates for guides.
        labels: (g,) int64, their classes; those that are misclassified or flagged guide nobody.
    """

    def __init__(
        self, classifier: Classifier, detector: Detector, alarm: Alarm, *, images: Tensor, labels: Tensor
    ) -> None:
        self.is_differentiable = isinstance(detector, DifferentiableDetector)
        self._alarm = alarm
        self._scored: Callable[[Tensor], Scored] = (
            detector.differentiable(classifier)
            if isinstance(detector, DifferentiableDetector)
            else _asked(classifier, detector)
        )
        self.guides = self._guides(images, labels)

    def __call__(self, images: Tensor) -> Seen:
        """Images (m, c, h, w) float32 in [0, 1] -> what is seen of them."""
        scored = self._scored(images)
        return Seen(
            logits=scored.logits,
            suspicion=self._alarm.suspicion(scored.scores),
            representation=scored.representation,
        )

    def _guides(self, images: Tensor, labels: Tensor) -> Guides:
        with torch.no_grad():
            parts = [self(part) for part in images.split(100)]
        logits, suspicion, representations = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("logits", "suspicion", "representation")
        )
        usable = (logits.argmax(dim=1) == labels) & (suspicion < 0)
        return Guides(images=images[usable], classes=labels[usable], representations=representations[usable])


def _asked(classifier: Classifier, detector: Detector) -> Callable[[Tensor], Scored]:
    """Scores without gradients; logits and features with theirs."""

    def scored(images: Tensor) -> Scored:
        features = classifier.features(images)
        logits: Tensor = classifier.head[-1](features)
        scores = detector.scores(classifier, images.detach(), logits.argmax(dim=1))
        return Scored(logits=logits, scores=scores.to(images.device), representation=features)

    return scored
