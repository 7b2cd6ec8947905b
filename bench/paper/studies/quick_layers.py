"""Layers in bfloat16 that are quicker on a CPU than the library's: fewer products, or better ones.

Source: Winograd 1980, "Arithmetic complexity of computations"; Lavin & Gray 2016, arXiv:1509.09308.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from bench.paper.studies.scratch import Scratch

# F(3, 2): three outputs of two taps in four products, y = A ((G g) * (B d)); all points 0, 1, -1 and infinity
_A = torch.tensor([[1.0, 1, 1, 0], [0, 1, -1, 0], [0, 1, 1, -1]])
_G = torch.tensor([[1.0, 0], [0.5, 0.5], [0.5, -0.5], [0, 1]])
_OUT, _POINTS = _A.shape


class StridedWinograd(nn.Module):
    """A 4x4 convolution of stride 2 and padding 1 that gives 3x3 positions, in 4/9 of its products.

    Every second row and column of the padded image makes one of four phases. The convolution is the sum over phases
    of 2x2 convolutions of stride 1, and these take 16 products for 9 positions by F(3x3, 2x2) instead of 36. Rounding
    to bfloat16 then errs twice as much as in the plain convolution.

    Args:
        convolution: 4x4, stride 2, padding 1, without groups or dilation, with a bias.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        assert convolution.bias is not None
        self.out, self.into = convolution.out_channels, convolution.in_channels
        taps = convolution.weight.view(self.out, self.into, 2, 2, 2, 2)  # (out, in, tap y, phase y, tap x, phase x)
        products = torch.einsum("uk,vl,oikplq->uvpqio", _G, _G, taps)
        self.weight = products.reshape(_POINTS**2, 4 * self.into, self.out).to(torch.bfloat16)
        self.bias = convolution.bias.to(torch.bfloat16)
        self.scratch = Scratch()

    def forward(self, images: Tensor) -> Tensor:
        """(n, in, 6 or 7, 6 or 7) bfloat16 -> (n, out, 3, 3), in memory position by position, channels last."""
        n, take = len(images), self.scratch.take
        into = take("into", _POINTS, _POINTS, n * 4 * self.into)
        rows = take("rows", _POINTS, _POINTS, n * 4 * self.into)
        _transformed(self._phases(images).view_as(rows).unbind(0), into.unbind(0))
        _transformed(into.unbind(1), rows.unbind(1))
        products = take("products", _POINTS**2, n, self.out)
        torch.bmm(rows.view(_POINTS**2, n, 4 * self.into), self.weight, out=products)
        back = _A.to(torch.bfloat16)
        half = take("half", _OUT, _POINTS * n * self.out)
        torch.mm(back, products.view(_POINTS, -1), out=half)
        whole = take("whole", _OUT, _OUT, n * self.out)
        torch.bmm(back.expand(_OUT, -1, -1), half.view(_OUT, _POINTS, -1), out=whole)
        return (whole.view(_OUT, _OUT, n, self.out).add_(self.bias)).permute(2, 3, 0, 1)

    def _phases(self, images: Tensor) -> Tensor:
        """(4, 4, n, phase y, phase x, in): the padded image, 8x8, in phases."""
        phases = self.scratch.take("phases", _POINTS, _POINTS, len(images), 2, 2, self.into)
        source = images.permute(2, 3, 0, 1)
        for y in range(2):
            for x in range(2):
                # phase 0 holds rows -1, 1, 3, 5 and phase 1 rows 0, 2, 4, 6, of which -1 is padding, and 6 may be
                part = source[1 - y :: 2, 1 - x :: 2]
                top, left = 1 - y, 1 - x
                bottom, right = top + part.shape[0], left + part.shape[1]
                target = phases[:, :, :, y, x]
                target[top:bottom, left:right] = part
                for border in (target[:top], target[bottom:], target[:, :left], target[:, right:]):
                    border.zero_()
        return phases


def _transformed(given: tuple[Tensor, ...], result: tuple[Tensor, ...]) -> None:
    """B of F(3, 2) on four slabs, written into four others."""
    torch.sub(given[0], given[2], out=result[0])
    torch.add(given[1], given[2], out=result[1])
    torch.sub(given[2], given[1], out=result[2])
    torch.sub(given[1], given[3], out=result[3])


class CoveringLinear(nn.Module):
    """A convolution whose kernel covers the whole image in its single position, as the linear layer that it is.

    Args:
        convolution: of any stride and padding, without groups or dilation, with a bias.
        height, width: of the images, which it takes to 1x1.
    """

    def __init__(self, convolution: nn.Conv2d, height: int, width: int) -> None:
        super().__init__()
        assert convolution.bias is not None
        top, left = (int(padding) for padding in convolution.padding)
        self.rows = min(height, convolution.kernel_size[0] - top)
        self.columns = min(width, convolution.kernel_size[1] - left)
        weight = convolution.weight[:, :, top : top + self.rows, left : left + self.columns]
        self.weight = weight.permute(0, 2, 3, 1).flatten(1).to(torch.bfloat16)  # (out, rows * columns * in)
        self.bias = convolution.bias.to(torch.bfloat16)

    def forward(self, images: Tensor) -> Tensor:
        """(n, in, height, width) bfloat16 -> (n, out, 1, 1)."""
        covered = images[:, :, : self.rows, : self.columns].permute(0, 2, 3, 1).flatten(1)
        return linear(covered, self.weight, self.bias)[:, :, None, None]


class Halving(nn.Module):
    """Maxima over 2x2 pixels, in a third of the time that the library takes, which looks up where they are."""

    @staticmethod
    def is_same(pool: nn.MaxPool2d) -> bool:
        """Whether a layer is what this one does."""
        sizes = [pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode]
        return sizes == [2, 2, 0, 1, False]

    def forward(self, images: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h // 2, w // 2); an odd last row or column is left out."""
        height, width = (size // 2 * 2 for size in images.shape[2:])
        rows = torch.maximum(images[:, :, 0:height:2], images[:, :, 1:height:2])
        return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])
