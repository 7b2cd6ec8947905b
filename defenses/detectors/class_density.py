"""One Gaussian kernel density estimate per class, and the choice of its bandwidth.

Sources: [S] supplement B.2; Feinman et al. 2017, arXiv:1703.00410, section 3.1. The bandwidth follows
scikit-learn's convention, kernel exp(-d^2 / (2 h^2)).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from attacks.errors import RequestError
from defenses.detectors.distances import Points

BLOCK = 256  # queries whose distances are held at once; 1,024 leave the cache and took 1.8 times as long
NEGLIGIBLE = -100.0  # logarithm of a kernel that adds nothing to a sum of at least 1
LEAST_PER_CLASS = 5  # training images that a class needs for a held-out part of its own
MOST_HELD_OUT = 500  # per class; more does not move the choice
HELD_OUT_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDensity:
    """The densities of all classes.

    points: (n, d) float64.
    labels: (n,) int64, the class each point belongs to.
    bandwidth: h.
    """

    points: Tensor
    labels: Tensor
    bandwidth: float

    def log_density(self, queries: Tensor, classes: Tensor) -> Tensor:
        """Log-density of each query under the estimate of the class named for it.

        Args:
            queries: (m, d) float, on the points' device.
            classes: (m,) int64.

        Returns:
            (m,) float64, natural logarithm; -inf for a class without points.
        """
        result = torch.full((len(queries),), -torch.inf, dtype=torch.float64, device=queries.device)
        for label in classes.unique().tolist():
            asked = torch.nonzero(classes == label).squeeze(1)
            points = self.points[self.labels == label]
            if len(points):
                result[asked] = gaussian_log_density(queries[asked], points, self.bandwidth)
        return result


def gaussian_log_density(queries: Tensor, points: Tensor, bandwidth: float) -> Tensor:
    """Log of the mean Gaussian kernel: (m, d), (n, d) -> (m,) float64; equals scikit-learn's `score_samples`."""
    return log_densities(queries, points, [bandwidth])[0]


def log_densities(queries: Tensor, points: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """The same for several bandwidths from one table of distances: -> (bandwidths, m) float64."""
    queries, points = queries.to(torch.float64), points.to(torch.float64)
    center = points.mean(dim=0)  # distances survive the subtraction of large squares better near the origin
    prepared = Points(points - center)
    count, dim = points.shape
    blocks = []
    for block in (queries - center).split(BLOCK):
        squares = prepared.squares(block)  # (block, n)
        blocks.append(torch.stack([_log_kernel_sum(squares, h) for h in bandwidths]))
    normalization = [math.log(count) + dim * math.log(h * math.sqrt(2 * math.pi)) for h in bandwidths]
    kernels = torch.cat(blocks, dim=1) if blocks else queries.new_zeros((len(bandwidths), 0))
    return kernels - kernels.new_tensor(normalization)[:, None]


def _log_kernel_sum(squares: Tensor, bandwidth: float) -> Tensor:
    """Log of the sum of exp(-square / 2 h^2) over the points: (block, n) -> (block,)."""
    scale = -1 / (2 * bandwidth * bandwidth)
    nearest = squares.amin(dim=1, keepdim=True)
    exponents = (squares - nearest).mul_(scale).clamp_(min=NEGLIGIBLE)  # exp is four times slower where it underflows
    return exponents.exp_().sum(dim=1).log_() + scale * nearest.squeeze(1)


def require_enough(labels: Tensor) -> None:
    """Raise `RequestError` when a class of the (n,) labels has too few images for a density."""
    counts = labels.bincount()  # a class without any image counts, too
    if int(counts.min()) < LEAST_PER_CLASS:
        short = int(counts.argmin())
        raise RequestError(
            f"class {short} has {int(counts.min())} training images; a density per class needs at least "
            f"{LEAST_PER_CLASS}. Raise --n-train"
        )


def choose_bandwidth(points: Tensor, labels: Tensor, grid: Sequence[float], generator: Generator) -> float:
    """The bandwidth of `grid` with the highest mean held-out log-likelihood over all classes.

    Args:
        points: (n, d) float.
        labels: (n,) int64.
        grid: candidates, in h.
        generator: on the CPU; says which points are held out.

    Raises:
        RequestError: a class has fewer than `LEAST_PER_CLASS` points.
    """
    require_enough(labels)
    total = torch.zeros(len(grid), dtype=torch.float64)
    for label in labels.unique().tolist():
        own = points[labels == label]
        order = torch.randperm(len(own), generator=generator).to(own.device)
        held_out = min(MOST_HELD_OUT, max(1, int(HELD_OUT_SHARE * len(own))))
        likelihood = log_densities(own[order[:held_out]], own[order[held_out:]], grid)  # (grid, held_out)
        total += likelihood.mean(dim=1).cpu()
    return float(grid[int(total.argmax())])
