"""A copy of a classifier that is quick on planes: the same function but for rounding to bfloat16.

BatchNorm is folded into the convolutions, which run in bfloat16; everything from the first linear layer on is the
classifier's own, in float32. The classifier itself is never changed.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bench.paper.studies.plane import Plane, Tile
from bench.paper.studies.plane_front import WORTH_GATHERING, AffineFront, Front, SplitFront
from bench.paper.studies.quick_layers import CoveringLinear, Halving, StridedWinograd
from defenses.contract import Classifier

_KNOWN = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)  # what the quick copy of a trunk is made of


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickCopy:
    """front: to bfloat16 activations; trunk: the other convolutions; tail: linear layers, in float32."""

    front: Front
    trunk: nn.Sequential
    tail: nn.Sequential

    def surface(self, plane: Plane, tiles: Sequence[Tile]) -> Tensor:
        """The loss at every point of a grid in tiles: (grid, grid) float32 on the CPU."""
        grid = max(tile.rows.stop for tile in tiles)
        losses = torch.empty(grid, grid)
        with torch.inference_mode():
            prepared = self.front.prepared(plane)
            for tile in tiles:
                logits = self.tail(self.trunk(self.front.hidden(prepared, tile)).float())  # (points, classes)
                labels = torch.full((len(logits),), plane.label, device=logits.device)
                loss = cross_entropy(logits, labels, reduction="none")
                losses[tile.rows, tile.columns] = loss.view(len(tile.along), -1).cpu()
        return losses


def quick_copy(classifier: nn.Module, image: Tensor) -> QuickCopy | None:
    """The copy, or None for a network that is no plain chain of convolutions, ReLUs, pooling and linear layers.

    Args:
        classifier: in eval mode.
        image: (c, h, w) float32, for its shape and device.
    """
    if not isinstance(classifier, Classifier) or not isinstance(classifier.encoder, nn.Sequential):
        return None
    layers = list(classifier.encoder)
    end = next((place for place, layer in enumerate(layers) if isinstance(layer, nn.Flatten)), 0)
    trunk, tail = layers[:end], layers[end:]
    if not trunk or not isinstance(trunk[0], nn.Conv2d) or not all(map(_is_known, trunk)):
        return None
    with torch.no_grad():
        folded = _pooled_first(_folded(trunk))
        front, used = _front(classifier.normalization, folded, image)
        shapes = _shapes(classifier.normalization(image[None]), folded)
        rest = [_quick(layer, shape) for layer, shape in zip(folded[used:], shapes[used:], strict=True)]
    return QuickCopy(front=front, trunk=nn.Sequential(*rest), tail=nn.Sequential(*tail, classifier.head))


def _is_known(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and set(layer.dilation) == {1} and not isinstance(layer.padding, str)
    return isinstance(layer, _KNOWN)


def _folded(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """Copies, each BatchNorm folded into the convolution before it; every convolution has a bias."""
    folded: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            convolution = folded.pop()
            assert isinstance(convolution, nn.Conv2d)
            folded.append(fuse_conv_bn_eval(convolution, layer))
        else:
            folded.append(copy.deepcopy(layer))
    for layer in folded:
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            layer.bias = nn.Parameter(torch.zeros_like(layer.weight[:, 0, 0, 0]), requires_grad=False)
    return folded


def _pooled_first(layers: list[nn.Module]) -> list[nn.Module]:
    """The same function: ReLU and the maximum change places, so that the ReLU has less to do."""
    ordered: list[nn.Module] = []
    for layer in layers:
        swaps = isinstance(layer, nn.MaxPool2d) and ordered and isinstance(ordered[-1], nn.ReLU)
        ordered.insert(len(ordered) - 1 if swaps else len(ordered), layer)
    return ordered


def _front(normalization: nn.Module, layers: Sequence[nn.Module], image: Tensor) -> tuple[Front, int]:
    """The first layers, and how many they are."""
    first, rest = layers[0], layers[1:3]
    assert isinstance(first, nn.Conv2d)
    if image.device.type == "cpu" and len(rest) == 2 and isinstance(rest[0], nn.ReLU):
        second = rest[1]
        if isinstance(second, nn.Conv2d) and second.out_channels >= WORTH_GATHERING:
            return AffineFront(normalization, first, second, image), 3
    return SplitFront(normalization, first), 1


def _shapes(images: Tensor, layers: Sequence[nn.Module]) -> list[tuple[torch.Size, torch.Size]]:
    """Of what goes into each layer and comes out."""
    shapes = []
    for layer in layers:
        given, images = images.shape, layer(images)
        shapes.append((given, images.shape))
    return shapes


def _quick(layer: nn.Module, shapes: tuple[torch.Size, torch.Size]) -> nn.Module:
    given, result = shapes
    if isinstance(layer, nn.ReLU):
        return nn.ReLU(inplace=True)
    if isinstance(layer, nn.MaxPool2d):
        return Halving() if Halving.is_same(layer) else layer
    assert isinstance(layer, nn.Conv2d)
    if result[2:] == (1, 1):
        return CoveringLinear(layer, given[2], given[3])
    is_strided = (layer.kernel_size, layer.stride, layer.padding) == ((4, 4), (2, 2), (1, 1))
    if layer.weight.device.type == "cpu" and is_strided and result[2:] == (3, 3):
        return StridedWinograd(layer)
    return layer.to(torch.bfloat16).to(memory_format=torch.channels_last)
