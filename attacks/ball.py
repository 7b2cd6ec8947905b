"""The L-infinity ball around each image, cut to the box [0, 1]."""

from torch import Tensor

from attacks.draws import Draws


def ball(images: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Lowest and highest allowed pixels, each (n, c, h, w), for (n, c, h, w) images in [0, 1]."""
    return (images - epsilon).clamp(0, 1), (images + epsilon).clamp(0, 1)


def random_start(images: Tensor, epsilon: float, draws: Draws, restart: int, stream: str = "pgd") -> Tensor:
    """Uniform points of the ball, clipped to the box: (n, c, h, w).

    Args:
        images: (n, c, h, w) float32 in [0, 1].
        epsilon: in pixel units.
        draws: of the images.
        restart: which of the repeated draws.
        stream: keeps attacks with one seed apart.
    """
    start = draws.uniform(stream, tuple(images.shape[1:]), round_=restart).to(images.device)
    return (images + epsilon * (2 * start - 1)).clamp(0, 1)
