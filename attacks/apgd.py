"""Auto-PGD in the L-infinity ball: momentum, and a step size that each image's own progress sets.

Source: Croce & Hein 2020, arXiv:2003.01690, section 3 (algorithm 1), section 4 for the losses, and the authors' code,
which says what the paper leaves open: what a checkpoint at step w judges are the iterates up to the w-th.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from attacks.apgd_step_size import StepSize, checkpoints
from attacks.ball import ball, random_start
from attacks.checks import require_choice, require_epsilon, require_positive
from attacks.contract import UNTIL, AttackEntry
from attacks.draws import Draws
from attacks.losses import cross_entropy_loss, dlr_loss
from attacks.probe import Objective, Probe
from attacks.worst import Worst

MOMENTUM = 0.75  # alpha: the share of the new step; the rest is the step before

ObjectiveOf = Callable[[Tensor], Objective]
"""Rows (m,) int64, which of the n images -> what to climb for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApgdConfig:
    """Options of the attack.

    epsilon: L-infinity budget in pixel units; the first step size is twice that.
    steps: a restart; restarts: random starts.
    until: "success" ends the work on an image as soon as it is broken; "end" takes every step.
    """

    epsilon: float
    steps: int = 100
    restarts: int = 1
    until: str = "end"

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        for name in ("steps", "restarts"):
            require_positive(name, getattr(self, name))
        require_choice("until", self.until, UNTIL)


def apgd(objective: Objective, stream: str, probe: Probe, images: Tensor, config: ApgdConfig, draws: Draws) -> Tensor:
    """Climb from random points of the ball; keep each image's worst iterate.

    Args:
        objective: what to climb.
        stream: of random starts, which no other attack shares.
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget, number of steps and restarts.
        draws: random starts, from (seed, image index) alone.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`: each image's iterate with the largest margin.
        Success is judged elsewhere.

    Raises:
        RequestError: the objective needs more classes than the model knows.
    """
    worst, rows = Worst.of(images), torch.arange(len(images), device=images.device)
    climbs = [(f"restart {number + 1}", lambda _rows: objective) for number in range(config.restarts)]
    climb_each(climbs, probe, images, rows, config, draws, stream, worst)
    return worst.images


def climb_each(
    climbs: Sequence[tuple[str, ObjectiveOf]],
    probe: Probe,
    images: Tensor,
    rows: Tensor,
    config: ApgdConfig,
    draws: Draws,
    stream: str,
    worst: Worst,
    first_step: int = 0,
) -> None:
    """Climb once for each objective, from another random point each time.

    Args:
        climbs: names and objectives, one a climb.
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        rows: (m,) int64, the images to work on.
        config: budget, number of steps, and whether broken images are done with early.
        draws: of all n images.
        stream: of random starts.
        worst: where each image's worst iterate is kept.
        first_step: of the attack, that the first climb starts with.
    """
    for number, (name, objective_of) in enumerate(climbs):
        if len(rows) == 0:
            return
        probe.begin(name, first_step + number * (config.steps + 1))
        start = random_start(images[rows], config.epsilon, draws.select(rows), number, stream)
        climbers = _Climbers.at(start, rows, images, config.epsilon)
        rows = _climb(probe, climbers, objective_of, config, first_step + number * (config.steps + 1), worst)


@dataclass(slots=True)
class _Climbers:
    """The m images still worked on.

    rows: (m,) int64, which of the n images they are.
    current, previous: (m, c, h, w), the last two iterates.
    lowest, highest: (m, c, h, w), the ball.
    best, best_gradient: (m, c, h, w), the iterate with the largest loss and the gradient there.
    """

    rows: Tensor
    current: Tensor
    previous: Tensor
    lowest: Tensor
    highest: Tensor
    best: Tensor
    best_gradient: Tensor

    @classmethod
    def at(cls, start: Tensor, rows: Tensor, images: Tensor, epsilon: float) -> "_Climbers":
        """At their (m, c, h, w) starting points, in the balls of images[rows]."""
        return cls(rows, start, start, *ball(images[rows], epsilon), start, start)

    def select(self, working: Tensor) -> "_Climbers":
        """Those that are `working`, (m,) bool."""
        moving = (self.current, self.previous, self.lowest, self.highest, self.best, self.best_gradient)
        return _Climbers(self.rows[working], *(part[working] for part in moving))

    def keep(self, gradient: Tensor, improved: Tensor) -> None:
        """Note the current iterates and their gradients (m, c, h, w) as the best where `improved`, (m,) bool."""
        here = improved[:, None, None, None]
        self.best = torch.where(here, self.current, self.best)
        self.best_gradient = torch.where(here, gradient, self.best_gradient)

    def go_back(self, gradient: Tensor, halved: Tensor) -> Tensor:
        """Continue from the best iterate where `halved`, (m,) bool; returns the gradients to go on with."""
        here = halved[:, None, None, None]
        self.current = torch.where(here, self.best, self.current)
        return torch.where(here, self.best_gradient, gradient)

    def step(self, gradient: Tensor, step_size: Tensor, momentum: float) -> None:
        """Move along the gradients' signs (m, c, h, w) by `step_size` (m,), keeping to the former direction."""
        moved = gradient.sign().mul_(step_size[:, None, None, None]).add_(self.current)
        moved.clamp_(self.lowest, self.highest)
        if momentum < 1:  # momentum (moved - current) + (1 - momentum) (current - previous), from current on
            moved.mul_(momentum).add_(self.current, alpha=2 - 2 * momentum).sub_(self.previous, alpha=1 - momentum)
            moved.clamp_(self.lowest, self.highest)
        self.previous, self.current = self.current, moved


def _climb(
    probe: Probe, climbers: _Climbers, objective_of: ObjectiveOf, config: ApgdConfig, first_step: int, worst: Worst
) -> Tensor:
    """One restart; returns the rows of the images still worked on."""
    sizes = StepSize.of(climbers.current.new_full((len(climbers.rows),), 2 * config.epsilon))
    reconsidered = frozenset(checkpoints(config.steps))
    for step in range(config.steps):
        rows = climbers.rows
        look = probe.gradient(climbers.current, rows, objective_of(rows), step=first_step + step)
        loss, gradient = look.loss, look.gradient
        worst.keep(rows, climbers.current, look.margin)
        if config.until == "success":
            working = ~probe.is_broken(climbers.current, rows, look.margin)
            worst.settle(rows[~working], climbers.current[~working])
            if not bool(working.any()):
                return rows[working]
            if not bool(working.all()):
                climbers, sizes = climbers.select(working), sizes.select(working)
                loss, gradient = loss[working], gradient[working]
        climbers.keep(gradient, sizes.see(loss))
        if step in reconsidered:
            gradient = climbers.go_back(gradient, sizes.check(step))
        climbers.step(gradient, sizes.value, MOMENTUM if step else 1.0)
    margin = probe.margin(climbers.current, climbers.rows, step=first_step + config.steps)
    worst.keep(climbers.rows, climbers.current, margin)
    if config.until == "end":
        return climbers.rows
    broken = probe.is_broken(climbers.current, climbers.rows, margin)
    worst.settle(climbers.rows[broken], climbers.current[broken])
    return climbers.rows[~broken]


APGD_CE = AttackEntry(
    name="apgd-ce",
    summary="Auto-PGD on the cross-entropy: momentum, step sizes that each image's progress sets (L-infinity)",
    source="Croce & Hein 2020, arXiv:2003.01690",
    config=ApgdConfig,
    attack=partial(apgd, cross_entropy_loss, "apgd-ce"),
)
APGD_DLR = AttackEntry(
    name="apgd-dlr",
    summary="Auto-PGD on the difference of logits ratio, which confidence does not flatten (L-infinity)",
    source="Croce & Hein 2020, arXiv:2003.01690",
    config=ApgdConfig,
    attack=partial(apgd, dlr_loss, "apgd-dlr"),
    climbs=dlr_loss,
    needs_logits=True,
)
