"""The LID detector on a small classifier; layers are run one by one here, neighbors come from scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from small_parts import toy_images
from torch import Tensor, nn

from attacks.errors import RequestError
from bench.datasets.contract import Split
from defenses.contract import Classifier, Detector
from defenses.detectors.lid import LID, LidConfig

CONFIG = LidConfig(neighbors=6, minibatch=40)
ANY = torch.zeros(200, dtype=torch.int64)  # predictions play no part


@pytest.fixture
def detector(classifier: Classifier, toy: Split) -> Detector:
    return LID.fit(classifier, toy, CONFIG, 0)


def _layers(classifier: Classifier, images: Tensor) -> list[np.ndarray]:
    """The input, and what every layer makes of it; dropout and flattening change nothing."""
    values, current = [images.flatten(1)], images
    with torch.no_grad():
        for layer in [*classifier.encoder, *classifier.head]:
            current = layer(current)
            if not isinstance(layer, nn.Flatten | nn.Dropout):
                values.append(current.flatten(1))
    return [value.double().numpy() for value in values]


def test_scores_equal_the_formula_at_every_layer(classifier: Classifier, detector: Detector) -> None:
    queries = toy_images(12, seed=9).images()
    references = detector.tensors()["references"]
    assert len(references) == 40
    scores = detector.scores(classifier, queries, ANY[:12]).numpy()
    layers = list(zip(_layers(classifier, queries), _layers(classifier, references), strict=True))
    # the input; convolution, ReLU, linear; linear, BatchNorm, ReLU, linear
    assert scores.shape == (12, len(layers)) == (12, 8)
    assert detector.score_names == tuple(f"lid_{layer}" for layer in range(8))
    for column, (query, reference) in zip(scores.T, layers, strict=True):
        distances, _ = NearestNeighbors(n_neighbors=6).fit(reference).kneighbors(query)
        np.testing.assert_allclose(column, -1 / np.log(distances / distances[:, -1:]).mean(axis=1), rtol=1e-5)


def test_references_are_clean_training_images_each_once(detector: Detector, toy: Split) -> None:
    pool = {image.numpy().tobytes() for image in toy.images()}
    references = [image.numpy().tobytes() for image in detector.tensors()["references"]]
    assert set(references) <= pool
    assert len(set(references)) == 40


def test_the_seed_draws_the_references(classifier: Classifier, toy: Split, detector: Detector) -> None:
    same, other = (LID.fit(classifier, toy, CONFIG, seed).tensors()["references"] for seed in (0, 1))
    assert torch.equal(same, detector.tensors()["references"])
    assert not torch.equal(other, same)


def test_a_training_image_does_not_count_as_its_own_neighbor(classifier: Classifier, detector: Detector) -> None:
    references = detector.tensors()["references"]
    scores = detector.scores(classifier, references[:5], ANY[:5]).numpy()
    for column, layer in zip(scores.T, _layers(classifier, references), strict=True):
        distances, _ = NearestNeighbors(n_neighbors=7).fit(layer).kneighbors(layer[:5])
        kept = distances[:, 1:]  # without the image itself
        np.testing.assert_allclose(column, -1 / np.log(kept / kept[:, -1:]).mean(axis=1), rtol=1e-5)


def test_a_score_does_not_depend_on_the_batch(classifier: Classifier, detector: Detector) -> None:
    queries = toy_images(130, seed=9).images()  # more than is worked on at once
    whole = detector.scores(classifier, queries, ANY[:130])
    for part in (slice(0, 1), slice(98, 103), slice(129, 130)):
        alone = detector.scores(classifier, queries[part], ANY[part])
        assert torch.allclose(alone, whole[part], rtol=1e-5)


def test_predictions_play_no_part(classifier: Classifier, detector: Detector) -> None:
    queries = toy_images(3, seed=9).images()
    assert torch.equal(detector.scores(classifier, queries, 1 - ANY[:3]), detector.scores(classifier, queries, ANY[:3]))


def test_layers_that_work_in_place_do_not_hide_what_came_before(classifier: Classifier, detector: Detector) -> None:
    queries = toy_images(12, seed=9).images()
    expected = detector.scores(classifier, queries, ANY[:12])
    for module in classifier.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True  # the convolution's output is overwritten by the next layer
    assert torch.equal(detector.scores(classifier, queries, ANY[:12]), expected)
    assert not torch.allclose(expected[:, 1], expected[:, 2], rtol=0.01)


def test_too_small_a_training_set_is_refused(classifier: Classifier, toy: Split) -> None:
    with pytest.raises(RequestError, match=r"lid needs 121 .* has 120\. Raise --n-train"):
        LID.fit(classifier, toy, LidConfig(minibatch=121), 0)
    LID.fit(classifier, toy, LidConfig(minibatch=120), 0)
