"""The first layers of a network on a tile of a plane: from points of the plane to bfloat16 activations.

On a plane, a first convolution is affine in the two steps: a unit's value is p + q a + r b. Only what follows its ReLU
is not, and only where the unit switches. `AffineFront` computes the second convolution from that, without giving up
anything: units that are on all over a tile go through it once for the whole tile, as p, q and r; units that are off
add nothing; and only those that switch within the tile, about a sixth, are evaluated point by point.
"""

import copy
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, unfold

from bench.paper.studies.plane import Plane, Tile
from bench.paper.studies.scratch import Scratch

CONSTANTS = 4  # rows before the switching units': 1, a, b, and 0
MULTIPLE = 16  # a matrix product is quickest in whole registers
GROUPS = 3  # of positions, each with as many taps as its busiest position
WORTH_GATHERING = 128  # outputs of a second convolution, from which its taps' weights are gathered in no time


class Front(Protocol):
    """The first layers: what depends on the plane alone once for the plane, then tile by tile."""

    def prepared(self, plane: Plane) -> Tensor:
        """What `hidden` needs of the plane."""

    def hidden(self, prepared: Tensor, tile: Tile) -> Tensor:
        """(points, channels, h, w) bfloat16 of a tile's points, row by row, before the next ReLU."""


class SplitFront:
    """Any first convolution, its inputs given as two bfloat16 numbers each, which add up to 16 bits of them.

    One alone would move every pixel by up to 1/500, many of them alike: a visible dent in the surface.

    Args:
        normalization: the network's first layer.
        convolution: its first convolution, with a bias.
    """

    def __init__(self, normalization: nn.Module, convolution: nn.Conv2d) -> None:
        self.normalization, self.convolution = normalization, convolution
        self.weight = torch.cat([convolution.weight] * 2, dim=1).to(torch.bfloat16)
        assert convolution.bias is not None
        self.bias = convolution.bias.to(torch.bfloat16)

    def prepared(self, plane: Plane) -> Tensor:
        """(3, c, h, w): the image and both directions."""
        return torch.stack([plane.image, plane.along, plane.across])

    def hidden(self, prepared: Tensor, tile: Tile) -> Tensor:
        """As `Front.hidden`."""
        image, along, across = prepared
        a, b = (steps.to(image.device).view(-1, 1, 1, 1) for steps in tile.points())
        inputs = self.normalization(image + a * along + b * across)
        high = inputs.to(torch.bfloat16)
        low = (inputs - high).to(torch.bfloat16)
        both = torch.cat([high, low], dim=1).contiguous(memory_format=torch.channels_last)
        of = self.convolution
        return conv2d(both, self.weight, self.bias, stride=of.stride, padding=of.padding)


class AffineFront:
    """A first convolution, a ReLU and a second convolution.

    Args:
        normalization: the network's first layer, affine.
        first, second: convolutions with a bias.
        image: (c, h, w), for its shape.
    """

    def __init__(self, normalization: nn.Module, first: nn.Conv2d, second: nn.Conv2d, image: Tensor) -> None:
        assert second.bias is not None
        self.normalization, self.first = normalization, first
        self.second = copy.deepcopy(second).to(torch.bfloat16).to(memory_format=torch.channels_last)
        self.bias = second.bias[:, None, None].to(torch.bfloat16)
        self.weight = second.weight.flatten(1).t().contiguous().to(torch.bfloat16)  # (taps, out)
        units = first(normalization(image[None]))  # (1, c, h, w)
        self.units = units.numel()
        numbers = torch.arange(1, self.units + 1, dtype=torch.float64).view_as(units)
        kernel, padding, stride = second.kernel_size, second.padding, second.stride
        taps = unfold(numbers, kernel, padding=padding, stride=stride)  # type: ignore[arg-type]
        self.units_of_taps = taps[0].t().long().contiguous()  # (positions, taps); 0 stands for padding
        self.out_shape = second(units).shape[2:]
        self.scratch = Scratch()

    def prepared(self, plane: Plane) -> Tensor:
        """(3, c, h, w) float32: p, q and r of every unit of the first convolution."""
        points = torch.stack([plane.image, plane.image + plane.along, plane.image + plane.across])
        at, along, across = self.first(self.normalization(points))
        return torch.stack([at, along - at, across - at])

    def hidden(self, prepared: Tensor, tile: Tile) -> Tensor:
        """As `Front.hidden`; in memory position by position, channels last."""
        a, b = tile.points()
        steps = torch.stack([torch.ones_like(a), a, b])  # (3, points)
        center = torch.tensordot((steps.amin(dim=1) + steps.amax(dim=1)) / 2, prepared, dims=1)
        farthest = torch.tensordot((steps.amax(dim=1) - steps.amin(dim=1)) / 2, prepared.abs(), dims=1)
        switching = (center.abs() < farthest).flatten().nonzero().squeeze(1)  # (units,)
        values = self._values(prepared.flatten(1)[:, switching], steps)
        affine = self.second((prepared * (center >= farthest)).to(torch.bfloat16))  # (3, out, h, w)
        affine[1:] -= self.bias  # of q and r, which a bias does not move
        return self._products(values, switching, affine.flatten(2).permute(2, 0, 1))

    def _values(self, prepared: Tensor, steps: Tensor) -> Tensor:
        """(`CONSTANTS` + units, points) bfloat16: 1, a, b, 0, and each switching unit after its ReLU."""
        values = self.scratch.take("values", CONSTANTS + prepared.shape[1], steps.shape[1])
        values[:3] = steps
        values[3] = 0
        values[CONSTANTS:] = torch.mm(prepared.t(), steps).relu_()
        return values

    def _products(self, values: Tensor, switching: Tensor, affine: Tensor) -> Tensor:
        """Sum over what meets at each position of the output: (points, out, h, w) bfloat16.

        Args:
            values: of `_values`.
            switching: (units,) int64, which units they are.
            affine: (positions, 3, out), what the units add that are on all over the tile.
        """
        rows = torch.zeros(self.units + 1, dtype=torch.int64)
        rows[switching + 1] = torch.arange(CONSTANTS, len(values))
        met = rows[self.units_of_taps]  # (positions, taps), rows of the values; 0 where nothing switches
        counts, order = (met > 0).sum(dim=1).sort(descending=True)
        points, out = values.shape[1], self.weight.shape[1]
        results = self.scratch.take("results", len(order), points, out)
        for part in torch.arange(len(order)).split(-(-len(order) // GROUPS)):  # alike in how much meets there
            units, taps = _padded(met[order[part]], 3 + int(counts[part[0]]))
            left = self.scratch.take("left", units.numel(), points)
            right = self.scratch.take("right", units.numel(), out)
            torch.index_select(values, 0, units.flatten(), out=left)
            torch.index_select(self.weight, 0, taps.flatten(), out=right)
            left, right = left.view(*units.shape, points), right.view(*units.shape, out)
            right[:, :3] = affine[order[part]]
            torch.bmm(left.transpose(1, 2), right, out=results[part[0] : part[-1] + 1])
        result = self.scratch.take("result", len(order), points, out)
        torch.index_select(results, 0, order.argsort(), out=result)
        return result.view(*self.out_shape, points, out).permute(2, 3, 0, 1)


def _padded(met: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Which rows of the values meet which rows of the weights, the same number at each position.

    Args:
        met: (positions, taps) int64, rows of the values; 0 where nothing switches.
        most: how many rows meet somewhere, the three constants among them.

    Returns:
        (positions, `most` rounded up) int64 twice. Each position begins with the constants, whose weights are still to
        be put in; what it has fewer than the others is 0 times something.
    """
    positions, taps = met.nonzero(as_tuple=True)
    counts = torch.bincount(positions, minlength=len(met))
    places = 3 + torch.arange(len(positions)) - (counts.cumsum(0) - counts)[positions]
    values = torch.full((len(met), -(-most // MULTIPLE) * MULTIPLE), 3)
    weights = torch.zeros_like(values)
    values[positions, places] = met[positions, taps]
    weights[positions, places] = taps
    values[:, :3] = torch.arange(3)
    return values, weights
