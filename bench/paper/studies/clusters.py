"""How the classes of an embedding lie to each other, to the prior, and to what an attack makes of their images.

Source: ours; the paper shows its embeddings as pictures alone.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

PRIOR_RADIUS = math.sqrt(-2 * math.log(0.05))  # of the circle that holds 95 % of N(0, 1) in two dimensions


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """Distances in the embedding.

    centers: (classes, 2) float32, means of the clean points; NaN for a class without any.
    spread: root mean square distance of clean points to their class's center; between: mean distance of two centers.
    moved: mean distance from a clean point to its adversarial one.
    clean_within, adversarial_within: shares within `PRIOR_RADIUS` of 0.
    """

    centers: Tensor
    spread: float
    between: float
    moved: float
    clean_within: float
    adversarial_within: float

    def in_centers(self, distance: float) -> float:
        """A distance in units of that between centers; infinite where these have collapsed into one."""
        return distance / self.between if self.between > 0 else math.inf


def clusters_of(clean: Tensor, adversarial: Tensor, labels: Tensor) -> Clusters:
    """Measure an embedding.

    Args:
        clean: (n, 2) float32.
        adversarial: (n, 2) float32, of the same images.
        labels: (n,) int64, at least two classes among them.
    """
    classes = int(labels.max()) + 1
    centers = torch.stack([clean[labels == label].mean(dim=0) for label in range(classes)])
    known = centers[~centers.isnan().any(dim=1)]
    return Clusters(
        centers=centers,
        spread=float((clean - centers[labels]).square().sum(dim=1).mean().sqrt()),
        between=float(torch.pdist(known).mean()),
        moved=float((clean - adversarial).norm(dim=1).mean()),
        clean_within=_share_within(clean),
        adversarial_within=_share_within(adversarial),
    )


def _share_within(points: Tensor) -> float:
    return float((points.norm(dim=1) <= PRIOR_RADIUS).float().mean())
