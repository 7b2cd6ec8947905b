"""Projected gradient descent in the L-infinity ball, with random starts and restarts.

Source: Madry et al. 2018, arXiv:1706.06083, section 2.1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.ball import ball, random_start
from attacks.checks import require_choice, require_epsilon, require_positive
from attacks.contract import UNTIL, AttackEntry
from attacks.draws import Draws
from attacks.losses import cross_entropy_loss
from attacks.probe import Probe
from attacks.worst import Worst


@dataclass(frozen=True, slots=True, kw_only=True)
class PgdConfig:
    """Options of the attack.

    epsilon, step_size: L-infinity budget and step in pixel units.
    steps: a restart; restarts: random starts.
    until: "success" ends the work on an image as soon as it is broken; "end" takes every step.
    """

    epsilon: float
    step_size: float
    steps: int
    restarts: int = 1
    until: str = "end"

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        for name in ("step_size", "steps", "restarts"):
            require_positive(name, getattr(self, name))
        require_choice("until", self.until, UNTIL)


def pgd(probe: Probe, images: Tensor, config: PgdConfig, draws: Draws) -> Tensor:
    """Climb the loss from random points of the ball; keep each image's worst iterate.

    Worst means the largest margin of the goal over all iterates of all restarts, so that a later, less damaging
    iterate never hides an earlier success. Every iterate is looked at, the start and the last one too.

    Args:
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget, step, number of steps and restarts.
        draws: random starts, from (seed, image index) alone.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`. Success is judged elsewhere.
    """
    worst = Worst.of(images)
    rows = torch.arange(len(images), device=images.device)  # (m,) images still worked on
    for restart in range(config.restarts):
        start = random_start(images, config.epsilon, draws, restart)
        probe.begin(f"restart {restart + 1}", restart * (config.steps + 1))
        rows = _climb(probe, images, start, rows, config, restart * (config.steps + 1), worst)
    return worst.images


def _climb(
    probe: Probe, images: Tensor, start: Tensor, rows: Tensor, config: PgdConfig, first_step: int, worst: Worst
) -> Tensor:
    """One restart, for the images at `rows`; returns the rows that are still unbroken."""
    current = start[rows]  # (m, c, h, w)
    lowest, highest = ball(images[rows], config.epsilon)
    for step in range(first_step, first_step + config.steps):
        if len(rows) == 0:
            return rows
        look = probe.gradient(current, rows, cross_entropy_loss, step=step)
        worst.keep(rows, current, look.margin)
        moved = (current + config.step_size * look.gradient.sign()).clamp(lowest, highest)
        if config.until == "success":
            broken = probe.is_broken(current, rows, look.margin)
            if bool(broken.any()):
                worst.settle(rows[broken], current[broken])
                rows, moved, lowest, highest = (part[~broken] for part in (rows, moved, lowest, highest))
        current = moved
    if len(rows) == 0:
        return rows
    margin = probe.margin(current, rows, step=first_step + config.steps)
    worst.keep(rows, current, margin)
    if config.until == "end":
        return rows
    broken = probe.is_broken(current, rows, margin)
    worst.settle(rows[broken], current[broken])
    return rows[~broken]


def last_iterate(probe: Probe, images: Tensor, config: PgdConfig, draws: Draws) -> Tensor:
    """Where one restart ends, whether it is the worst or not: what min-max training trains on.

    Arguments as `pgd`; one forward pass cheaper.
    """
    rows = torch.arange(len(images), device=images.device)
    lowest, highest = ball(images, config.epsilon)
    current = random_start(images, config.epsilon, draws, 0)
    for step in range(config.steps):
        look = probe.gradient(current, rows, cross_entropy_loss, step=step)
        current = (current + config.step_size * look.gradient.sign()).clamp(lowest, highest)
    return current


PGD = AttackEntry(
    name="pgd",
    summary="iterated signed-gradient steps inside the L-infinity ball, random starts, worst case per image",
    source="Madry et al. 2018, arXiv:1706.06083",
    config=PgdConfig,
    attack=pgd,
)
