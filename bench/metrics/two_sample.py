"""How far an embedding is from its prior.

Source: Gretton et al. 2012, "A kernel two-sample test", JMLR 13, lemma 6 (unbiased estimate). A bounded kernel is
used because the Cauchy prior has no mean for a transport distance to be finite.
"""

import torch
from torch import Tensor


def squared_mmd(sample: Tensor, other: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy, Gaussian kernel with the median distance in `other` as width.

    Args:
        sample: (n, d) float.
        other: (m, d) float, the reference that sets the kernel's width.

    Returns:
        Zero in expectation when both come from one distribution (so it may be slightly negative); at most 2.
    """
    sample, other = sample.to(torch.float64), other.to(torch.float64)
    width = torch.pdist(other).median()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(a, b).square() / (2 * width.square()))

    def within(points: Tensor) -> Tensor:
        count = len(points)
        return (kernel(points, points).sum() - count) / (count * (count - 1))  # the diagonal is all ones

    return float(within(sample) + within(other) - 2 * kernel(sample, other).mean())
