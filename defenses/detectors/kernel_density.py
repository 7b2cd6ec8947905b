"""KD: log-density of the last hidden layer under the predicted class's kernel density estimate.

Source: Feinman et al. 2017, arXiv:1703.00410, section 3.1. The paper fixes bandwidths (1.20 MNIST, 0.26 CIFAR-10)
for its own networks and says to retune for others: the default is a log grid by held-out likelihood [D].

ER (supplement B.1, Algorithm 1) is the same construction on the encoder's embedding, with the kernel
exp(-d^2 / sigma^2), which is scikit-learn's with h = sigma / sqrt(2).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Generator, Tensor

from attacks.checks import require_choice, require_positive
from defenses.contract import Classifier, DetectorEntry, Scored, device_of
from defenses.detectors.class_density import ClassDensity, choose_bandwidth, require_enough
from defenses.training.contract import ImageSource

GRID = tuple(float(bandwidth) for bandwidth in np.geomspace(0.1, 10, 21))
DENSITIES = ("log", "linear")
_OPTIONS = frozenset({"bandwidth", "density"})
BATCH = 100  # images that pass the network at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """A layer of the classifier.

    of: (classifier, images (n, c, h, w)) -> (n, d); logits: (classifier, that layer's output) -> (n, classes).
    """

    of: Callable[[Classifier, Tensor], Tensor]
    logits: Callable[[Classifier, Tensor], Tensor]


def _logits_of_features(classifier: Classifier, features: Tensor) -> Tensor:
    logits: Tensor = classifier.head[-1](features)
    return logits


def _logits_of_embedding(classifier: Classifier, embedding: Tensor) -> Tensor:
    logits: Tensor = classifier.head(embedding)
    return logits


FEATURES = Representation(of=Classifier.features, logits=_logits_of_features)
EMBEDDING = Representation(of=Classifier.embedding, logits=_logits_of_embedding)


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityConfig:
    """What a density detector's score is.

    bandwidth: of the kernel, in the detector's own convention; None chooses it by held-out likelihood.
    density: "log" scores by the log-density, "linear" by the density itself.
    """

    bandwidth: float | None = None
    density: str = "log"

    def __post_init__(self) -> None:
        require_choice("density", self.density, DENSITIES)
        if self.bandwidth is not None:
            require_positive("bandwidth", self.bandwidth)


class DensityDetector:
    """Scores an image by the (log-)density of its representation under its predicted class."""

    def __init__(self, density: ClassDensity, represent: Representation, *, is_log: bool) -> None:
        self.density = density
        self.score_names: tuple[str, ...] = ("log_density",) if is_log else ("density",)
        self._represent = represent
        self._is_log = is_log

    def scores(self, classifier: Classifier, images: Tensor, predictions: Tensor) -> Tensor:
        """Images (n, c, h, w), predicted classes (n,) int64 -> (n, 1) float64, a density or its natural logarithm."""
        queries = represent_all(self._represent.of, classifier, images)
        log_density = self.density.log_density(queries, predictions.to(queries.device))[:, None].cpu()
        return log_density if self._is_log else log_density.exp()

    def differentiable(self, classifier: Classifier) -> Callable[[Tensor], Scored]:
        """See `DifferentiableDetector`."""

        def scored(images: Tensor) -> Scored:
            representation = self._represent.of(classifier, images)
            logits = self._represent.logits(classifier, representation)
            log_density = self.density.log_density(representation.to(torch.float64), logits.argmax(dim=1))[:, None]
            scores = log_density if self._is_log else log_density.exp()
            return Scored(logits=logits, scores=scores, representation=representation)

        return scored

    def tensors(self) -> dict[str, Tensor]:
        """Points (n, d) float64, labels (n,) int64, bandwidth () float64."""
        bandwidth = torch.tensor(self.density.bandwidth, dtype=torch.float64)
        return {"points": self.density.points, "labels": self.density.labels, "bandwidth": bandwidth}


def represent_all(represent: Callable[[Classifier, Tensor], Tensor], classifier: Classifier, images: Tensor) -> Tensor:
    """Apply `represent` batch by batch without gradients: (n, c, h, w) -> (n, d) float64."""
    with torch.inference_mode():
        parts = [represent(classifier, batch).to(torch.float64) for batch in images.split(BATCH)]
    return torch.cat(parts)  # joined outside of inference mode, it is a tensor like any other


def _check(labels: Tensor, _config: DensityConfig) -> None:
    require_enough(labels)


def _fit(
    represent: Representation,
    sigma_over_h: float,
    classifier: Classifier,
    data: ImageSource,
    config: DensityConfig,
    seed: int,
) -> DensityDetector:
    labels = data.labels.to(device_of(classifier))
    _check(labels, config)
    indices = torch.arange(len(data), device=labels.device)
    parts = [represent_all(represent.of, classifier, data.images(batch)) for batch in indices.split(BATCH)]
    points = torch.cat(parts)
    if config.bandwidth is None:
        grid = [bandwidth / sigma_over_h for bandwidth in GRID]
        chosen = choose_bandwidth(points, labels, grid, Generator().manual_seed(seed))
    else:
        chosen = config.bandwidth / sigma_over_h
    density = ClassDensity(points=points, labels=labels, bandwidth=chosen)
    return DensityDetector(density, represent, is_log=config.density == "log")


def _restore(represent: Representation, tensors: dict[str, Tensor], config: DensityConfig) -> DensityDetector:
    density = ClassDensity(points=tensors["points"], labels=tensors["labels"], bandwidth=float(tensors["bandwidth"]))
    return DensityDetector(density, represent, is_log=config.density == "log")


def _er_entry(
    name: str, summary: str, *, classifier: str, adversarial_classifier: str | None, embedding: str
) -> DetectorEntry:
    return DetectorEntry(
        name=name,
        summary=summary,
        source="supplement B.1, Algorithm 1; which variant is which is our reading",
        classifier=classifier,
        adversarial_classifier=adversarial_classifier,
        embedding=embedding,
        options=_OPTIONS,
        config=DensityConfig,
        check=_check,
        fit=partial(_fit, EMBEDDING, math.sqrt(2)),
        restore=partial(_restore, EMBEDDING),
    )


KD = DetectorEntry(
    name="kd",
    summary="density of the last hidden layer, on the standard network",
    source="Feinman et al. 2017, arXiv:1703.00410",
    classifier="standard",
    adversarial_classifier="madry",
    options=_OPTIONS,
    config=DensityConfig,
    check=_check,
    fit=partial(_fit, FEATURES, 1.0),
    restore=partial(_restore, FEATURES),
)

ER1 = _er_entry(
    "er1",
    "ER-Detector: density of the ER-Classifier's embedding, final embedding dimension",
    classifier="er-classifier",
    adversarial_classifier="er-classifier-at",
    embedding="final",
)
ER2 = _er_entry(
    "er2",
    "ER-Detector at the estimated intrinsic dimension",
    classifier="er-classifier",
    adversarial_classifier="er-classifier-at",
    embedding="intrinsic",
)
ER1_MINUS = _er_entry(
    "er1-minus",
    "er1 without regularization (on E-CLA)",
    classifier="e-cla",
    adversarial_classifier=None,
    embedding="final",
)
ER2_MINUS = _er_entry(
    "er2-minus",
    "er2 without regularization (on E-CLA)",
    classifier="e-cla",
    adversarial_classifier=None,
    embedding="intrinsic",
)
