"""PGD that deceives classifier and detector: selective and orthogonal steps.

Source: Bryniarski et al. 2021, arXiv:2106.15023, section 4: one of the two losses at a time instead of their sum, whose
gradient destroys what the other has reached. Two departures [D]: the margin instead of cross-entropy, which saturates;
steps that fall to zero instead of equal ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from attacks.ball import ball, random_start
from attacks.checks import require_epsilon, require_not_negative, require_positive
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.goal import Goal, reached
from attacks.probe import Probe
from attacks.stealthiest import Stealthiest
from attacks.watched import (
    JointLook,
    JointObjective,
    Seen,
    WatchedProbe,
    innocence,
    require_gradients_of,
    require_watched,
    seen_margin,
)

FIRST_STEP = 0.2  # of epsilon, unless a step size is given


@dataclass(frozen=True, slots=True, kw_only=True)
class PgdDetectorConfig:
    """Options of both attacks.

    epsilon: L-infinity budget in pixel units.
    steps: a restart; step_size: the first step in pixel units, later ones fall to zero; None takes epsilon / 5.
    restarts: the first starts at the image, the others at random points of the ball.
    confidence: kappa, the margin in logit units from which on the classifier counts as deceived.
    expectation: looks averaged a step, for defenses that draw random numbers at inference.
    """

    epsilon: float
    steps: int = 100
    step_size: float | None = None
    restarts: int = 1
    confidence: float = 0.0
    expectation: int = 1

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        require_not_negative("confidence", self.confidence)
        for name in ("steps", "restarts", "expectation"):
            require_positive(name, getattr(self, name))
        if self.step_size is not None:
            require_positive("step_size", self.step_size)


class Budget(Protocol):
    """What bounds a climb: see `PgdDetectorConfig`."""

    @property
    def epsilon(self) -> float:
        """L-infinity budget in pixel units."""

    @property
    def steps(self) -> int:
        """How many."""

    @property
    def step_size(self) -> float | None:
        """The first one, in pixel units; None takes epsilon / 5."""


Direction = Callable[[WatchedProbe, Tensor, Tensor, int], tuple[JointLook, Tensor]]
"""(probe, images, rows, step) -> what was seen of the images, and where to go from them (m, c, h, w)."""


def pgd_selective(probe: Probe, images: Tensor, config: PgdDetectorConfig, draws: Draws) -> Tensor:
    """Climb the classifier's margin until an image is misclassified, then down the detector's suspicion.

    Args:
        probe: classifier, detector, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget.
        draws: random starts, from (seed, image index) alone.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`: the misclassified iterate with the lowest
        suspicion. Success is judged elsewhere.
    """
    watched = require_watched(probe)
    require_gradients_of(watched, PGD_SELECTIVE.name)
    direction = partial(_selective, config.confidence)
    return climb_restarts(watched, images, config, draws, direction, PGD_SELECTIVE.name)


def pgd_orthogonal(probe: Probe, images: Tensor, config: PgdDetectorConfig, draws: Draws) -> Tensor:
    """As `pgd_selective`, each step without its part along the other gradient, so that it undoes nothing."""
    watched = require_watched(probe)
    require_gradients_of(watched, PGD_ORTHOGONAL.name)
    direction = partial(_orthogonal, config.confidence)
    return climb_restarts(watched, images, config, draws, direction, PGD_ORTHOGONAL.name)


def climb(
    probe: WatchedProbe,
    images: Tensor,
    start: Tensor,
    budget: Budget,
    direction: Direction,
    first_step: int,
    kept: Stealthiest,
) -> None:
    """Signed steps of falling size inside the ball; every iterate, the last one too, is offered to `kept`."""
    rows = torch.arange(len(images), device=images.device)
    lowest, highest = ball(images, budget.epsilon)
    size = FIRST_STEP * budget.epsilon if budget.step_size is None else budget.step_size
    current = start
    for step in range(budget.steps):
        look, towards = direction(probe, current, rows, first_step + step)
        kept.keep(rows, current, look.margin, look.suspicion)
        current = (current + size * (1 - step / budget.steps) * towards.sign()).clamp(lowest, highest)
    look = probe.see(current, rows, step=first_step + budget.steps)
    kept.keep(rows, current, look.margin, look.suspicion)


def climb_restarts(
    probe: WatchedProbe, images: Tensor, config: PgdDetectorConfig, draws: Draws, direction: Direction, stream: str
) -> Tensor:
    """Every restart in one direction: the images kept, (n, c, h, w); `stream` keeps attacks' random starts apart."""
    kept = Stealthiest.of(images, config.confidence)
    for restart in range(config.restarts):
        first_step = restart * (config.steps + 1)
        probe.begin(f"restart {restart + 1}", first_step)
        start = random_start(images, config.epsilon, draws, restart, stream) if restart else images
        climb(probe, images, start, config, direction, first_step, kept)
    return kept.images


def along(objective: JointObjective) -> Direction:
    """The direction in which one objective rises."""

    def direction(probe: WatchedProbe, images: Tensor, rows: Tensor, step: int) -> tuple[JointLook, Tensor]:
        look = probe.climb(images, rows, (objective,), step=step)
        return look, look.gradients[0]

    return direction


def _selective(
    confidence: float, probe: WatchedProbe, images: Tensor, rows: Tensor, step: int
) -> tuple[JointLook, Tensor]:
    def objective(seen: Seen, goal: Goal) -> Tensor:
        margin = goal.margin(seen.logits)
        return torch.where(reached(margin.detach(), confidence), -seen.suspicion, margin)

    return along(objective)(probe, images, rows, step)


def _orthogonal(
    confidence: float, probe: WatchedProbe, images: Tensor, rows: Tensor, step: int
) -> tuple[JointLook, Tensor]:
    look = probe.climb(images, rows, (seen_margin, innocence), step=step)
    deceive, hide = look.gradients
    met = reached(look.margin, confidence)[:, None, None, None]
    return look, torch.where(met, _without(hide, deceive), _without(deceive, hide))


def _without(gradient: Tensor, other: Tensor) -> Tensor:
    """The part of a gradient (m, c, h, w) that is orthogonal to the other one; all of it where nothing would remain."""
    flat, along_ = gradient.flatten(1), other.flatten(1)
    squares = along_.square().sum(dim=1, keepdim=True)
    share = (flat * along_).sum(dim=1, keepdim=True) / squares.clamp(min=torch.finfo(squares.dtype).tiny)
    rest = flat - share * along_
    vanishes = rest.norm(dim=1, keepdim=True) <= 1e-6 * flat.norm(dim=1, keepdim=True)
    return torch.where(vanishes, flat, rest).view_as(gradient)


PGD_SELECTIVE = AttackEntry(
    name="pgd-selective",
    summary="deceives the detector, too: the classifier's gradient until misclassified, then the detector's",
    source="Bryniarski et al. 2021, arXiv:2106.15023",
    config=PgdDetectorConfig,
    attack=pgd_selective,
    is_aware=True,
)

PGD_ORTHOGONAL = AttackEntry(
    name="pgd-orthogonal",
    summary="pgd-selective, each step orthogonal to the other gradient",
    source="Bryniarski et al. 2021, arXiv:2106.15023",
    config=PgdDetectorConfig,
    attack=pgd_orthogonal,
    is_aware=True,
)
