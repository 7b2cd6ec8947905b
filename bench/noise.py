"""Gaussian noise as large as the attack: the noisy images that a detector must accept.

Source: Ma et al. 2018, arXiv:1801.02613, section 5 (noise of the attack's L2 size), made exact [D]: sigma is solved
for so that the mean L2 after clipping equals the adversarial images'.
"""

from dataclasses import dataclass

from scipy.optimize import brentq
from torch import Tensor

from attacks.draws import Draws
from attacks.norms import l2_distance

LARGEST_SIGMA = 100.0  # at this, practically every pixel is clipped to 0 or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Noisy:
    """images: (n, c, h, w) float32 in [0, 1]; sigma in pixel units; mean_l2: what was reached."""

    images: Tensor
    sigma: float
    mean_l2: float


def add_noise(images: Tensor, mean_l2: float, draws: Draws) -> Noisy:
    """Noisy copies at a given mean L2 distance.

    Args:
        images: (n, c, h, w) float32 in [0, 1].
        mean_l2: wanted, in pixel units; when no noise is that large, the largest possible is given.
        draws: of the images.
    """
    noise = draws.normal("noise", tuple(images.shape[1:])).to(images.device)

    def noisy(sigma: float) -> Tensor:
        return (images + sigma * noise).clamp(0, 1)

    def excess(sigma: float) -> float:
        return float(l2_distance(noisy(sigma), images).mean()) - mean_l2

    if mean_l2 <= 0:
        sigma = 0.0
    elif excess(LARGEST_SIGMA) <= 0:
        sigma = LARGEST_SIGMA
    else:
        sigma = float(brentq(excess, 0.0, LARGEST_SIGMA, xtol=1e-7))
    return Noisy(images=noisy(sigma), sigma=sigma, mean_l2=excess(sigma) + mean_l2)
