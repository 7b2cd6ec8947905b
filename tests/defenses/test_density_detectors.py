"""KD and the ER-Detector on a small classifier, against scikit-learn's KernelDensity on the same representations."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity
from small_parts import toy_images
from torch import Tensor

from attacks.errors import RequestError
from bench.datasets.contract import Split
from defenses.contract import Classifier, Detector, DetectorEntry
from defenses.detectors.kernel_density import GRID, DensityConfig
from defenses.registry import DEFENSES

ER_NAMES = ("er1", "er2", "er1-minus", "er2-minus")


def _fit(name: str, classifier: Classifier, toy: Split, bandwidth: float | None) -> Detector:
    entry = DEFENSES.get(name)
    assert isinstance(entry, DetectorEntry)
    assert entry.config is DensityConfig
    return entry.fit(classifier, toy, DensityConfig(bandwidth=bandwidth), 0)


def _features(classifier: Classifier, images: Tensor) -> np.ndarray:
    """The last hidden layer after its ReLU, by running the layers one by one."""
    with torch.no_grad():
        value = classifier.encoder(images)
        for layer in list(classifier.head)[:-1]:
            value = layer(value)
    return value.double().numpy()


def test_kd_is_the_density_of_the_features_under_the_predicted_class(classifier: Classifier, toy: Split) -> None:
    detector = _fit("kd", classifier, toy, 0.9)
    queries = toy_images(10, seed=3)
    features, points = _features(classifier, queries.images()), _features(classifier, toy.images())
    assert points.shape[1] == 8  # the width of the last hidden layer
    assert points.min() == 0  # after the ReLU
    predictions = 1 - queries.labels  # all wrong: the true class must play no part
    scores = detector.scores(classifier, queries.images(), predictions)
    assert scores.shape == (10, 1)
    assert scores.dtype == torch.float64
    for index, predicted in enumerate(predictions.tolist()):
        oracle = KernelDensity(bandwidth=0.9, leaf_size=60).fit(points[toy.labels.numpy() == predicted])
        assert scores[index, 0].item() == pytest.approx(oracle.score_samples(features[[index]])[0], abs=1e-5)
    assert not torch.allclose(scores, detector.scores(classifier, queries.images(), queries.labels), atol=0.1)


@pytest.mark.parametrize("name", ER_NAMES)
def test_er_kernel_has_no_factor_two(name: str, classifier: Classifier, toy: Split) -> None:
    # exp(-d^2 / sigma^2) integrates to (pi sigma^2)^(dim / 2)
    sigma = 0.8
    detector = _fit(name, classifier, toy, sigma)
    queries = toy_images(8, seed=3)
    with torch.no_grad():
        embedded, points = (classifier.embedding(split.images()).double().numpy() for split in (queries, toy))
    scores = detector.scores(classifier, queries.images(), queries.labels)[:, 0].numpy()
    for index, label in enumerate(queries.labels.tolist()):
        own = points[toy.labels.numpy() == label]
        squares = ((embedded[index] - own) ** 2).sum(axis=1)
        by_hand = logsumexp(-squares / sigma**2) - math.log(len(own)) - 1.5 * math.log(math.pi * sigma**2)
        oracle = (
            KernelDensity(bandwidth=sigma / math.sqrt(2), leaf_size=60).fit(own).score_samples(embedded[[index]])[0]
        )
        assert by_hand == pytest.approx(oracle, abs=1e-9)
        assert scores[index] == pytest.approx(oracle, abs=1e-5)


@pytest.mark.parametrize("bandwidth", [None, 0.8])
@pytest.mark.parametrize("name", ["kd", *ER_NAMES])
def test_the_linear_score_is_the_density_itself(
    name: str, bandwidth: float | None, classifier: Classifier, toy: Split
) -> None:
    entry = DEFENSES.get(name)
    assert isinstance(entry, DetectorEntry)
    log, linear = (DensityConfig(bandwidth=bandwidth, density=density) for density in ("log", "linear"))
    by_log, by_density = (entry.fit(classifier, toy, config, 0) for config in (log, linear))
    assert (by_log.score_names, by_density.score_names) == (("log_density",), ("density",))
    queries = toy_images(10, seed=3)
    log_scores, scores = (one.scores(classifier, queries.images(), queries.labels) for one in (by_log, by_density))
    assert scores.dtype == torch.float64
    assert float(scores.min()) >= 0
    torch.testing.assert_close(scores, log_scores.exp())
    assert not torch.allclose(scores, log_scores, atol=0.1)
    # what is fitted is the same, and what was stored scores as asked for
    assert all(torch.equal(one, by_density.tensors()[name]) for name, one in by_log.tensors().items())
    restored = entry.restore(by_log.tensors(), linear)
    assert restored.score_names == ("density",)
    assert torch.equal(restored.scores(classifier, queries.images(), queries.labels), scores)


@pytest.mark.parametrize("density", ["", "Log", "probability"])
def test_a_density_of_another_kind_is_refused(density: str) -> None:
    with pytest.raises(RequestError, match=f"unknown density '{density}'.*known: log, linear"):
        DensityConfig(density=density)


def test_without_a_bandwidth_one_of_the_grid_is_chosen(classifier: Classifier, toy: Split) -> None:
    kd = float(_fit("kd", classifier, toy, None).tensors()["bandwidth"])
    er = float(_fit("er1", classifier, toy, None).tensors()["bandwidth"])
    assert min(abs(kd - h) for h in GRID) < 1e-9
    assert min(abs(er * math.sqrt(2) - sigma) for sigma in GRID) < 1e-9  # in the detector's own convention
    assert (GRID[0], GRID[-1]) == (pytest.approx(0.1), pytest.approx(10))


def test_a_class_with_too_few_images_is_refused(classifier: Classifier, toy: Split) -> None:
    lopsided = toy.take(torch.cat([torch.arange(0, 120, 2), torch.tensor([1, 3, 5])]))
    for bandwidth in (None, 1.0):
        with pytest.raises(RequestError, match="class 1 has 3 training images"):
            _fit("kd", classifier, lopsided, bandwidth)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.nan, math.inf])
def test_a_bandwidth_is_a_number_above_zero(bandwidth: float) -> None:
    with pytest.raises(RequestError, match="bandwidth"):
        DensityConfig(bandwidth=bandwidth)
