"""LID: local intrinsic dimensionality at the input and at every layer's output.

Source: Ma et al. 2018, arXiv:1801.02613, section 4 and Algorithm 1. Four departures from the published code:
- the minibatch of clean reference images is drawn from the training set, once, so that an image's score depends
  on no other query and needs nothing that a deployed detector lacks (the published one compares an image with the
  clean originals of its own test batch) [D];
- only a true self-match (a query that is a reference image) is left out; the published code drops every query's
  nearest distance;
- distances are floored, since one exact duplicate gives 0 and nothing but duplicates NaN;
- too few references for k are refused; the published code lowers k silently.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from attacks.checks import require_positive
from attacks.errors import RequestError
from defenses.contract import Classifier, DetectorEntry, Scored, device_of
from defenses.detectors.distances import Points
from defenses.training.contract import ImageSource

SMALLEST_DISTANCE = 1e-12
LARGEST_LID = 1e4  # what neighbors at one distance get instead of infinity
BATCH = 100  # queries that pass the network at once
COPIES = (nn.Dropout, nn.Flatten, nn.Identity)  # in eval mode their outputs repeat their inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class LidConfig:
    """neighbors: k; minibatch: how many clean reference images."""

    neighbors: int = 20
    minibatch: int = 100

    def __post_init__(self) -> None:
        require_positive("neighbors", self.neighbors)
        if self.minibatch <= self.neighbors:
            raise RequestError(f"minibatch must exceed neighbors ({self.neighbors}), got {self.minibatch}")


def local_intrinsic_dimension(distances: Tensor, neighbors: int) -> Tensor:
    """Maximum-likelihood estimate -1 / mean(ln(r_i / r_k)) over the k nearest distances.

    Args:
        distances: (n, m) float, to m references; a self-match is given as inf.
        neighbors: k.

    Returns:
        (n,) float64, at most `LARGEST_LID`.

    Raises:
        RequestError: a query has fewer than k references.
    """
    usable = torch.isfinite(distances).sum(dim=1)
    if distances.shape[1] < neighbors or int(usable.min()) < neighbors:
        raise RequestError(f"LID with {neighbors} neighbors needs as many references, a query has fewer")
    nearest = distances.to(torch.float64).topk(neighbors, dim=1, largest=False).values  # (n, k) ascending
    nearest = nearest.clamp(min=SMALLEST_DISTANCE)
    mean_log = (nearest / nearest[:, -1:]).log().mean(dim=1)  # (n,) <= 0
    return 1 / (-mean_log).clamp(min=1 / LARGEST_LID)


class LidDetector:
    """Scores an image by its LID at the input and at every layer.

    Args:
        references: (m, c, h, w) float32 clean images.
        config: k and m.
        layers: number of layer outputs, the input included.
    """

    def __init__(self, references: Tensor, config: LidConfig, layers: int) -> None:
        self._references = references
        self._config = config
        self.score_names: tuple[str, ...] = tuple(f"lid_{layer}" for layer in range(layers))

    def scores(self, classifier: Classifier, images: Tensor, predictions: Tensor) -> Tensor:
        """Images (n, c, h, w) -> (n, layers) float64 on the CPU; predictions are not used."""
        del predictions
        with torch.inference_mode():
            layers = self._layers_of_references(classifier)
            rows = [self._estimates(classifier, batch, layers)[1] for batch in images.split(BATCH)]
        return torch.cat(rows).cpu()

    def differentiable(self, classifier: Classifier) -> Callable[[Tensor], Scored]:
        """See `DifferentiableDetector`; an image's neighbors are those it has where the gradient is taken."""
        with torch.no_grad():
            layers = self._layers_of_references(classifier)

        def scored(images: Tensor) -> Scored:
            with _inputs_of(classifier.head[-1]) as features:
                logits, scores = self._estimates(classifier, images, layers)
            return Scored(logits=logits, scores=scores, representation=features[0])

        return scored

    def _layers_of_references(self, classifier: Classifier) -> list[Points]:
        layers: list[Points] = []
        show_layers(classifier, self._references, lambda output: layers.append(Points(output)))
        return layers

    def _estimates(self, classifier: Classifier, batch: Tensor, layers: list[Points]) -> tuple[Tensor, Tensor]:
        """Images (n, c, h, w) and the references' layers -> logits (n, classes), estimates (n, layers) float64."""
        distances: list[Tensor] = []  # (n, m) a layer
        logits = show_layers(
            classifier, batch, lambda output: distances.append(layers[len(distances)].distances(output))
        )
        others = torch.stack(distances).masked_fill(self_matches(distances[0]), torch.inf)  # (layers, n, m)
        estimates = local_intrinsic_dimension(others.flatten(0, 1), self._config.neighbors)
        return logits, estimates.view(len(layers), -1).T

    def tensors(self) -> dict[str, Tensor]:
        """References (m, c, h, w) float32; layers () int64."""
        return {"references": self._references, "layers": torch.tensor(len(self.score_names))}


def self_matches(distances: Tensor) -> Tensor:
    """Where a query is itself a reference: distances of the images (n, m) -> (n, m) bool, at most one a query.

    Further copies of the same image stay among the neighbors: they are neighbors.
    """
    equal = distances == 0
    return equal & (equal.cumsum(dim=1) == 1)


def show_layers(classifier: Classifier, images: Tensor, show: Callable[[Tensor], None]) -> Tensor:
    """Show the input and the output of every layer of encoder and head, in the order of their computation.

    Args:
        classifier: in eval mode.
        images: (n, c, h, w) float32.
        show: given each, flattened to (n, d) float32, before the next layer runs; that may overwrite it.

    Returns:
        (n, classes) logits.
    """
    leaves = [
        module
        for part in (classifier.encoder, classifier.head)
        for module in part.modules()
        if not list(module.children()) and not isinstance(module, COPIES)
    ]
    handles = [leaf.register_forward_hook(lambda _leaf, _inputs, output: show(output.flatten(1))) for leaf in leaves]
    try:
        show(images.flatten(1))
        logits: Tensor = classifier(images)
        return logits
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """What is given to a module while this is open, in order."""
    given: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
    try:
        yield given
    finally:
        handle.remove()


def _check(labels: Tensor, config: LidConfig) -> None:
    if len(labels) < config.minibatch:
        raise RequestError(
            f"lid needs {config.minibatch} clean reference images, the training set has {len(labels)}. Raise --n-train"
        )


def _fit(classifier: Classifier, data: ImageSource, config: LidConfig, seed: int) -> LidDetector:
    _check(data.labels, config)
    order = torch.randperm(len(data), generator=Generator().manual_seed(seed))[: config.minibatch]
    references = data.images(order.to(device_of(classifier)))
    widths: list[int] = []
    with torch.inference_mode():
        show_layers(classifier, references[:1], lambda output: widths.append(output.shape[1]))
    return LidDetector(references, config, layers=len(widths))


def _restore(tensors: dict[str, Tensor], config: LidConfig) -> LidDetector:
    return LidDetector(tensors["references"], config, layers=int(tensors["layers"]))


LID = DetectorEntry(
    name="lid",
    summary="local intrinsic dimensionality at every layer, on the standard network",
    source="Ma et al. 2018, arXiv:1801.02613",
    classifier="standard",
    adversarial_classifier="madry",
    options=frozenset({"neighbors"}),
    config=LidConfig,
    check=_check,
    fit=_fit,
    restore=_restore,
)
