"""What holds for every registered detector, on a small classifier. The expectations are the contract's own words."""

import dataclasses
from typing import Any

import pytest
import torch
from small_parts import toy_images, weights_of
from torch import Tensor

from attacks.errors import RequestError
from bench.datasets.contract import Split
from defenses.contract import Classifier, Detector, DetectorEntry
from defenses.registry import DEFENSES

DETECTORS = [entry for entry in DEFENSES if isinstance(entry, DetectorEntry)]
QUERIES = toy_images(30, seed=3).images()


@pytest.fixture(params=DETECTORS, ids=lambda entry: entry.name)
def entry(request: pytest.FixtureRequest) -> DetectorEntry:
    return request.param


def _fit(entry: DetectorEntry, classifier: Classifier, toy: Split) -> tuple[Detector, Any]:
    config = entry.config()
    return entry.fit(classifier, toy, config, 0), config


def _scores(detector: Detector, classifier: Classifier, part: slice = slice(None)) -> Tensor:
    with torch.no_grad():
        predictions = classifier(QUERIES).argmax(dim=1)
    return detector.scores(classifier, QUERIES[part], predictions[part])


def test_the_papers_detectors_are_registered() -> None:
    assert {entry.name for entry in DETECTORS} >= {"kd", "lid", "er1", "er2", "er1-minus", "er2-minus"}


def test_scores_are_one_row_an_image(entry: DetectorEntry, classifier: Classifier, toy: Split) -> None:
    detector, _ = _fit(entry, classifier, toy)
    scores = _scores(detector, classifier)
    assert scores.shape == (30, len(detector.score_names))
    assert scores.dtype == torch.float64
    assert bool(torch.isfinite(scores).all())
    assert len(scores.unique(dim=0)) == 30
    assert torch.allclose(_scores(detector, classifier, slice(4, 9)), scores[4:9], rtol=1e-3, atol=1e-3)


def test_what_is_stored_gives_the_same_scores_again(entry: DetectorEntry, classifier: Classifier, toy: Split) -> None:
    detector, config = _fit(entry, classifier, toy)
    stored = {name: tensor.clone() for name, tensor in detector.tensors().items()}
    restored = entry.restore(stored, config)
    assert restored.score_names == detector.score_names
    assert torch.equal(_scores(restored, classifier), _scores(detector, classifier))
    assert {name: tensor.tolist() for name, tensor in restored.tensors().items()} == {
        name: tensor.tolist() for name, tensor in stored.items()
    }


def test_fitting_again_gives_the_same_detector(entry: DetectorEntry, classifier: Classifier, toy: Split) -> None:
    first, second = (_fit(entry, classifier, toy)[0].tensors() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_classifier_is_left_as_it_was(entry: DetectorEntry, classifier: Classifier, toy: Split) -> None:
    before = weights_of(classifier)
    with torch.no_grad():
        logits = classifier(QUERIES)
    detector, _ = _fit(entry, classifier, toy)
    _scores(detector, classifier)
    assert all(torch.equal(before[name], tensor) for name, tensor in classifier.state_dict().items())
    assert not any(module.training for module in classifier.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in classifier.modules())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    with torch.no_grad():
        assert torch.equal(classifier(QUERIES), logits)


def test_hooks_are_removed_also_after_an_error(entry: DetectorEntry, classifier: Classifier, toy: Split) -> None:
    detector, _ = _fit(entry, classifier, toy)
    with pytest.raises(RuntimeError):
        detector.scores(classifier, torch.rand(2, 3, 5, 5), torch.zeros(2, dtype=torch.int64))
    assert not any(module._forward_hooks for module in classifier.modules())


def test_a_training_set_too_small_is_refused(entry: DetectorEntry, classifier: Classifier, toy: Split) -> None:
    small = toy.take(torch.arange(8))  # four images of each class
    for refuse in (
        lambda: entry.check(small.labels, entry.config()),
        lambda: entry.fit(classifier, small, entry.config(), 0),
    ):
        with pytest.raises(RequestError, match="--n-train"):
            refuse()
    entry.check(toy.labels, entry.config())


def test_entries_name_registered_classifiers(entry: DetectorEntry) -> None:
    for name in {entry.classifier, entry.adversarial_classifier} - {None}:
        assert name in DEFENSES
        assert not isinstance(DEFENSES.get(name), DetectorEntry)
    assert entry.options <= {field.name for field in dataclasses.fields(entry.config)}
    assert (entry.embedding is None) == (entry.classifier == "standard")  # the baseline network has no embedding
