"""Euclidean distances of many queries to a fixed set of points, by matrix products; differentiable in the queries.

Source: |q - p|^2 = |q|^2 + |p|^2 - 2 q.p: some 16 times as fast as torch.cdist subtracts on a CPU. It cancels where q
is near p: float64 makes up for that, and the nearest pairs are subtracted after all.
"""

import torch
from torch import Tensor

LEAST_SQUARE = 1e-300  # keeps the root's gradient finite; the nearest pairs are subtracted after all
NEAR = 1e-4  # of a point's squared norm; a square above it keeps ten digits in float64


class Points:
    """Points, with what every query needs of them.

    Args:
        points: (m, d) float; float64 is taken as it is, without a copy.
    """

    def __init__(self, points: Tensor) -> None:
        self._points = points.to(torch.float64)
        self._square_norms = _square_norms(self._points)

    def squares(self, queries: Tensor) -> Tensor:
        """Squared distances (n, d) float64 -> (n, m) float64, at least 0, off by some 1e-15 of the squared norms."""
        squares = torch.addmm(self._square_norms, queries, self._points.T, alpha=-2)
        return squares.add_(_square_norms(queries)[:, None]).clamp_(min=0)

    def distances(self, queries: Tensor) -> Tensor:
        """Distances (n, d) float -> (n, m) float64, ten digits of them right; equal points, and only they, give 0."""
        queries = queries.to(torch.float64)
        squares = self.squares(queries)
        has_near = (squares <= NEAR * self._square_norms).any(dim=1)  # (n,)
        distances = squares.clamp_(min=LEAST_SQUARE).sqrt_()
        if not has_near.any():
            return distances
        near = torch.nonzero(has_near).squeeze(1)
        return distances.index_copy(0, near, _by_subtraction(queries[near], self._points))


def _square_norms(vectors: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return norms.square()


def _by_subtraction(queries: Tensor, points: Tensor) -> Tensor:
    return torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist")
