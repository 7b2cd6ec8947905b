"""Projected gradient descent in the L-infinity ball, with random starts and restarts.

Source: Madry et al. 2018, arXiv:1706.06083, section 2.1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.checks import require_epsilon, require_positive
from attacks.contract import AttackEntry, Goal, Logits
from attacks.draws import Draws


@dataclass(frozen=True, slots=True, kw_only=True)
class PgdConfig:
    """epsilon, step_size: L-infinity budget and step in pixel units; steps: a restart; restarts: random starts."""

    epsilon: float
    step_size: float
    steps: int
    restarts: int = 1

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        for name in ("step_size", "steps", "restarts"):
            require_positive(name, getattr(self, name))


def pgd(logits_of: Logits, images: Tensor, goal: Goal, config: PgdConfig, draws: Draws) -> Tensor:
    """Climb the loss from random points of the ball; keep each image's worst iterate.

    Worst means the largest margin of the goal over all iterates of all restarts, so that a later, less damaging
    iterate never hides an earlier success. Every iterate is looked at, the start and the last one too.

    Args:
        logits_of: differentiable, (n, c, h, w) -> (n, classes).
        images: (n, c, h, w) float32 in [0, 1].
        goal: the true classes to leave or the target classes to reach.
        config: budget, step, number of steps and restarts.
        draws: random starts, from (seed, image index) alone.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`. Success is judged elsewhere.
    """
    lowest = (images - config.epsilon).clamp(0, 1)
    highest = (images + config.epsilon).clamp(0, 1)
    worst_margin = torch.full((len(images),), -torch.inf, device=images.device)  # (n,)
    worst = images.detach().clone()

    for restart in range(config.restarts):
        start = draws.uniform("pgd", tuple(images.shape[1:]), round_=restart).to(images.device)
        current = (images + config.epsilon * (2 * start - 1)).clamp(0, 1)
        for step in range(config.steps + 1):
            is_last = step == config.steps
            current = current.detach().requires_grad_(not is_last)
            logits = logits_of(current)
            margin = goal.margin(logits.detach())
            is_worse = margin > worst_margin
            worst_margin = torch.where(is_worse, margin, worst_margin)
            worst = torch.where(is_worse[:, None, None, None], current.detach(), worst)
            if not is_last:
                (gradient,) = torch.autograd.grad(goal.loss(logits).sum(), current)
                current = current.detach() + config.step_size * gradient.sign()
                current = current.clamp(lowest, highest)
    return worst


PGD = AttackEntry(
    name="pgd",
    summary="iterated signed-gradient steps inside the L-infinity ball, random starts, worst case per image",
    source="Madry et al. 2018, arXiv:1706.06083",
    config=PgdConfig,
    attack=pgd,
)
