"""What a classifier and a detector are to the rest of the project.

Sources: [S] the paper's supplement, B.1 (Algorithm 1) and G (Tables 7 and 8).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from defenses.training.contract import EpochSummary, ImageSource, Journal


class Classifier(nn.Module):
    """An encoder and a head behind a normalization layer; baseline networks and ER networks alike.

    For an ER network the encoder ends in the embedding and the head is the paper's classifier; for a baseline
    network the encoder is the flattened convolutional trunk and the head its fully connected layers.

    Args:
        normalization: (n, c, h, w) float32 in [0, 1] -> the same shape, any range.
        encoder: normalized images -> (n, d) float32.
        head: (n, d) -> (n, classes) logits; an `nn.Sequential` whose last module is the last linear layer.
    """

    def __init__(self, *, normalization: nn.Module, encoder: nn.Module, head: nn.Sequential) -> None:
        super().__init__()
        if not isinstance(head[-1], nn.Linear):
            raise TypeError("the last module of a classifier's head must be the linear layer that gives logits")
        self.normalization = normalization
        self.encoder = encoder
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) float32 in [0, 1] -> logits (n, classes) float32."""
        logits: Tensor = self.head(self.embedding(images))
        return logits

    def embedding(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) float32 in [0, 1] -> the encoder's output (n, d) float32."""
        embedding: Tensor = self.encoder(self.normalization(images))
        return embedding

    def features(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) float32 in [0, 1] -> the last hidden layer after its ReLU, (n, f) float32."""
        features: Tensor = self.head[:-1](self.embedding(images))
        return features


def device_of(module: nn.Module) -> torch.device:
    """The device that holds a module's first parameter."""
    return next(module.parameters()).device


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Everything a classifier's settings follow from.

    family: name of the network family, which fixes the image shape.
    recipe: "quick" or "paper".
    options: what the user set of the entry's `options`, by name; the rest follows the recipe.
    """

    family: str
    recipe: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierEntry:
    """A registered classifier.

    name, summary, source: for `bench list`.
    options: names of the options it takes, with underscores.
    configure: request -> frozen training config; raises `RequestError` for values out of range.
    build: (family, number of classes, config, seed) -> untrained network in the CPU's memory.
    train: (network, images, config, seed, journal) -> one summary an epoch; trains in place, ends in eval mode.
        It asks the journal for a state to go on from and tells it of every epoch.
    Build and train are None for the one entry whose models come trained, the user's own.
    """

    name: str
    summary: str
    source: str
    options: frozenset[str] = frozenset()
    configure: Callable[[BuildRequest], Any]
    build: Callable[[str, int, Any, int], Classifier] | None = None
    train: Callable[[Classifier, ImageSource, Any, int, Journal], list[EpochSummary]] | None = None


class Detector(Protocol):
    """A fitted detector: gives every image one or more scores that a logistic regression then weighs."""

    score_names: tuple[str, ...]

    def scores(self, classifier: Classifier, images: Tensor, predictions: Tensor) -> Tensor:
        """Images (n, c, h, w) and predicted classes (n,) int64 -> (n, scores) float64 on the CPU."""

    def tensors(self) -> dict[str, Tensor]:
        """All that was fitted, to be stored and handed to the entry's `restore`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a detector makes of m images, with gradients.

    logits: (m, classes) float32, the classifier's.
    scores: (m, scores) float64, as `Detector.scores` gives them for the predicted classes.
    representation: (m, d) float, the layer that the detector looks at, or the last hidden one.
    """

    logits: Tensor
    scores: Tensor
    representation: Tensor


@runtime_checkable
class DifferentiableDetector(Detector, Protocol):
    """A fitted detector whose score can be followed; without this, adaptive attacks search without gradients."""

    def differentiable(self, classifier: Classifier) -> Callable[[Tensor], Scored]:
        """Images (m, c, h, w) float32 in [0, 1] -> logits and scores; one pass through the classifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorEntry:
    """A registered detector.

    name, summary, source: for `bench list`.
    classifier: name of the classifier it watches.
    adversarial_classifier: the one it watches with `--adversarial-training`; None where there is none.
    embedding: "final" or "intrinsic" of the family's two embedding sizes; None where the classifier has none.
    options: names of the options that its config takes, with underscores.
    config: frozen dataclass of its own options.
    check: (training labels (n,) int64, config) raises `RequestError` for a training set too small to fit.
    fit: (classifier, training images, config, seed) -> detector.
    restore: (tensors, config) -> the same detector again.
    """

    name: str
    summary: str
    source: str
    classifier: str
    adversarial_classifier: str | None = None
    embedding: str | None = None
    options: frozenset[str] = frozenset()
    config: type
    check: Callable[[Tensor, Any], None]
    fit: Callable[[Classifier, ImageSource, Any, int], Detector]
    restore: Callable[[dict[str, Tensor], Any], Detector]


DefenseEntry = ClassifierEntry | DetectorEntry
