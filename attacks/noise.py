"""Random noise: an attack of strength zero. An attack that breaks no more images than noise does has done nothing.

Source: ours, as a floor for the others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.checks import require_choice, require_epsilon, require_positive
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.probe import Probe
from attacks.worst import Worst

NOISES = ("uniform", "gaussian")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseConfig:
    """Options of the attack.

    epsilon: L-infinity budget in pixel units.
    noise: "uniform" in the ball, or "gaussian" with standard deviation epsilon / 2, clipped to the ball.
    restarts: draws an image.
    """

    epsilon: float
    noise: str = "uniform"
    restarts: int = 1

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        require_choice("noise", self.noise, NOISES)
        require_positive("restarts", self.restarts)


def noise(probe: Probe, images: Tensor, config: NoiseConfig, draws: Draws) -> Tensor:
    """Add noise a few times over; keep each image's worst.

    Args:
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget, kind of noise and number of draws.
        draws: the noise, from (seed, image index) alone.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`. Success is judged elsewhere.
    """
    worst, rows = Worst.of(images), torch.arange(len(images), device=images.device)
    for restart in range(config.restarts):
        noisy = (images + config.epsilon * _unit_noise(images, config.noise, draws, restart)).clamp(0, 1)
        probe.begin(f"draw {restart + 1}", restart)
        worst.keep(rows, noisy, probe.margin(noisy, rows, step=restart))
    return worst.images


def _unit_noise(images: Tensor, kind: str, draws: Draws, restart: int) -> Tensor:
    """(n, c, h, w) float32 in [-1, 1]: uniform, or normal with standard deviation 1/2, clipped."""
    shape = tuple(images.shape[1:])
    if kind == "gaussian":
        return (draws.normal("noise", shape, round_=restart) / 2).clamp(-1, 1).to(images.device)
    return (2 * draws.uniform("noise", shape, round_=restart) - 1).to(images.device)


NOISE = AttackEntry(
    name="noise",
    summary="uniform or Gaussian noise in the L-infinity ball, the worst of a few draws: an attack of strength zero",
    source="ours, as a floor for the others",
    config=NoiseConfig,
    attack=noise,
    follows_gradients=False,
)
