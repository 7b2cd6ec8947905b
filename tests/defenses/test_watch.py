"""What detector-aware attacks are shown: the judge's scores, and gradients that finite differences confirm."""

import numpy as np
import pytest
import torch
from small_parts import toy_images
from torch import Tensor

from bench.datasets.contract import Split
from defenses.contract import Classifier, Detector, DetectorEntry, DifferentiableDetector
from defenses.detectors.decision import Decision
from defenses.registry import DEFENSES
from defenses.watch import Alarm, Watch

DETECTORS = [entry for entry in DEFENSES if isinstance(entry, DetectorEntry)]
QUERIES = toy_images(30, seed=3).images()


@pytest.fixture(params=DETECTORS, ids=lambda entry: entry.name)
def detector(request: pytest.FixtureRequest, classifier: Classifier, toy: Split) -> Detector:
    return request.param.fit(classifier, toy, request.param.config(), 0)


def _asked(detector: Detector, classifier: Classifier, images: Tensor) -> Tensor:
    with torch.no_grad():
        predictions = classifier(images).argmax(dim=1)
    return detector.scores(classifier, images, predictions)


def test_scores_with_gradients_are_the_scores(detector: Detector, classifier: Classifier) -> None:
    assert isinstance(detector, DifferentiableDetector)
    scored = detector.differentiable(classifier)(QUERIES.clone().requires_grad_())
    with torch.no_grad():
        assert torch.equal(scored.logits, classifier(QUERIES))
    assert torch.allclose(scored.scores, _asked(detector, classifier, QUERIES), rtol=1e-6, atol=1e-6)
    assert scored.scores.requires_grad
    assert scored.representation.shape[0] == 30


def test_gradients_are_those_of_finite_differences(detector: Detector, classifier: Classifier) -> None:
    assert isinstance(detector, DifferentiableDetector)
    if hasattr(detector, "_references"):
        detector._references = detector._references.double()
    scored = detector.differentiable(classifier.double())
    images = QUERIES[:4].double().requires_grad_()
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(scored(images).scores.sum(), images)
    told = (gradient * direction).flatten(1).sum(dim=1)  # (n,) slope along the direction
    step = 1e-6
    with torch.no_grad():
        ahead, behind = (scored(images + sign * step * direction).scores.sum(dim=1) for sign in (1, -1))
    assert torch.allclose(told, (ahead - behind) / (2 * step), rtol=1e-3, atol=1e-6)
    assert float(gradient.abs().max()) > 0


def test_no_hook_is_left_behind(detector: Detector, classifier: Classifier) -> None:
    assert isinstance(detector, DifferentiableDetector)
    detector.differentiable(classifier)(QUERIES)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in classifier.modules())


def _alarm(scores: Tensor, threshold: float = 0.0) -> Alarm:
    count = scores.shape[1]
    decision = Decision(
        mean=scores.mean(dim=0).numpy(),
        scale=scores.std(dim=0).numpy() + 1e-3,
        weights=np.linspace(-1, 0.5, count),
        intercept=0.25,
    )
    return Alarm(decision=decision, threshold=threshold, spread=2.0)


def test_suspicion_is_the_log_odds_above_the_threshold(detector: Detector, classifier: Classifier) -> None:
    scores = _asked(detector, classifier, QUERIES)
    alarm = _alarm(scores, threshold=-0.5)
    probability = alarm.decision.probability(scores.numpy())
    wanted = (np.log(probability / (1 - probability)) + 0.5) / 2
    assert alarm.suspicion(scores).numpy() == pytest.approx(wanted, abs=1e-4)


def test_guides_are_right_and_unsuspected(detector: Detector, classifier: Classifier) -> None:
    candidates = toy_images(40, seed=7)
    scores = _asked(detector, classifier, QUERIES)
    watch = Watch(classifier, detector, _alarm(scores), images=candidates.images(), labels=candidates.labels)
    with torch.no_grad():
        seen = watch(watch.guides.images)
    assert 0 < len(watch.guides.images) < 40
    assert torch.equal(seen.logits.argmax(dim=1), watch.guides.classes)
    assert seen.suspicion.max().item() < 0
    assert torch.allclose(seen.representation, watch.guides.representations, atol=1e-5)


class _Brightness:
    """A detector of another package that offers its scores alone."""

    score_names = ("brightness",)

    def scores(self, classifier: Classifier, images: Tensor, predictions: Tensor) -> Tensor:
        del classifier, predictions
        return images.flatten(1).mean(dim=1, keepdim=True).to(torch.float64)

    def tensors(self) -> dict[str, Tensor]:
        return {}


def test_a_detector_without_gradients_is_still_watched(classifier: Classifier) -> None:
    images = QUERIES.clone().requires_grad_()
    alarm = _alarm(torch.rand(9, 1, dtype=torch.float64))
    watch = Watch(classifier, _Brightness(), alarm, images=QUERIES, labels=classifier(QUERIES).argmax(dim=1))
    assert not watch.is_differentiable
    seen = watch(images)
    assert seen.logits.requires_grad
    assert not seen.suspicion.requires_grad
