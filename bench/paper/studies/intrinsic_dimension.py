"""Intrinsic dimension of a sample of images by maximum likelihood, as the paper's Table 2 has it.

Sources: Levina and Bickel 2005 (NIPS 17), who average the points' estimates; MacKay and Ghahramani 2005 (comments on
it), who average their inverses; supplement C.2, which names hub-toolbox: 6 to 12 neighbors, k - 2 in the numerator, the
estimates of all k averaged. Its versions differ in how they average points by default, so both ways are given.
scikit-dimension's own defaults differ: 20 neighbors, k - 1, the mean of inverses.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from attacks.errors import DataError

NEIGHBORS = range(6, 13)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrinsicDimension:
    """An estimate. mean: of the points' estimates; inverse_mean: one over the mean of their inverses, so never larger.

    n: points behind it, without copies.
    """

    mean: float
    inverse_mean: float
    n: int


def intrinsic_dimension(points: Tensor) -> IntrinsicDimension:
    """Estimate how many dimensions a sample of points spans locally.

    Copies of a point count once: at distance 0 they are no neighbors, and would make the estimate 0 or NaN.

    Args:
        points: (n, d), any number type; the estimate does not depend on their scale.

    Raises:
        DataError: there are too few different points for 12 neighbors each.
    """
    from skdim.id import MLE  # late: it takes seconds
    from sklearn.neighbors import NearestNeighbors

    different = points.unique(dim=0).double().numpy()  # (n, d)
    if len(different) <= NEIGHBORS[-1]:
        raise DataError(
            f"{len(different)} different images are too few to estimate a dimension from {NEIGHBORS[-1]} neighbors"
        )
    distances, indices = NearestNeighbors(n_neighbors=NEIGHBORS[-1]).fit(different).kneighbors()  # (n, 12), sorted
    estimator = MLE(unbiased=True)  # k - 2 in the numerator

    def over_neighbors(combination: str) -> float:
        estimates = [
            estimator.fit_predict(
                different, precomputed_knn_arrays=(distances[:, :k], indices[:, :k]), comb=combination
            )
            for k in NEIGHBORS
        ]
        return float(sum(estimates)) / len(estimates)

    return IntrinsicDimension(mean=over_neighbors("mean"), inverse_mean=over_neighbors("mle"), n=len(different))


def sample_of(pixels: Tensor, size: int, seed: int) -> Tensor:
    """Draw images without replacement: (n, c, h, w) -> (size, c * h * w)."""
    chosen = torch.randperm(len(pixels), generator=Generator().manual_seed(seed))[:size]
    return pixels[chosen].flatten(1)
