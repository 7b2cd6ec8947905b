"""Fast adaptive boundary attack, targeted, in L-infinity: walk along the decision boundary towards the clean image.

Source: Croce & Hein 2020, arXiv:1907.02044, algorithm 1; the variant that goes for one wrong class after another is
the one of AutoAttack (Croce & Hein 2020, arXiv:2003.01690, section 5), with its parameters. As in the authors' code
of AutoAttack, algorithm 1's final search between clean image and result is left out.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.linalg import vector_norm

from attacks.ball import ball
from attacks.checks import require_choice, require_epsilon, require_positive
from attacks.contract import UNTIL, AttackEntry
from attacks.draws import Draws
from attacks.goal import Goal
from attacks.hyperplane import steps_onto
from attacks.losses import margin_loss
from attacks.norms import linf_distance
from attacks.probe import Objective, Probe

LARGEST_BIAS = 0.1  # how far at most a step is drawn towards the clean image (alpha_max)
OVERSHOOT = 1.05  # steps go this much past the linearized boundary (eta)
BACKWARD = 0.9  # from a misclassified point, how much of the way out is kept (beta)
ROUNDING = 1e-5  # of the largest logit; a margin below that may change its sign with the shape of the judge's batches
DOUBTFUL = 1.0  # what the distance of a success with such a margin is raised by; distances are at most 1
LEAST_STEP = 1e-8  # steps shorter than this count as this long, so that two steps of zero have a ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class FabConfig:
    """Options of the attack.

    epsilon: L-infinity distance in pixel units beyond which what is found does not count.
    steps: for each class and restart; restarts: the first starts at the clean image, the others at random.
    targets: classes gone for, the likeliest wrong ones of the clean image.
    until: "success" ends the work on an image at its first success within epsilon; "end" looks for nearer ones.
    """

    epsilon: float
    steps: int = 100
    targets: int = 9
    restarts: int = 1
    until: str = "end"

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        for name in ("steps", "targets", "restarts"):
            require_positive(name, getattr(self, name))
        require_choice("until", self.until, UNTIL)


@dataclass(slots=True)
class Nearest:
    """The nearest success of each image within epsilon.

    images: (n, c, h, w), clean where there is none.
    rank: (n,), the distance in pixel units, raised by `DOUBTFUL` where rounding may undo the success; inf where there
        is none.
    """

    images: Tensor
    rank: Tensor

    def keep(self, rows: Tensor, images: Tensor, rank: Tensor) -> None:
        """Keep those of `images` (m, ...) at `rows` (m,) whose rank (m,) is lower than what is held."""
        better = rank < self.rank[rows]
        kept = rows[better]
        self.images[kept], self.rank[kept] = images[better], rank[better]


def fab(probe: Probe, images: Tensor, config: FabConfig, draws: Draws) -> Tensor:
    """Find the nearest misclassified image by stepping onto the linearized boundary again and again.

    The boundary is where the true class and one wrong class are equally likely, for each wrong class in turn. When the
    goal names a target, it is where that class and whichever other is likeliest at the moment are.

    Args:
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget, steps, number of classes and restarts.
        draws: random starts, from (seed, image index) alone.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`; the clean image where no success was found there.
        Success is judged elsewhere.
    """
    found = Nearest(images.detach().clone(), images.new_full((len(images),), torch.inf))
    rows = torch.arange(len(images), device=images.device)  # (m,) images still worked on
    probe.begin("clean", 0)
    logits = probe.logits(images, rows, step=0)
    rows = rows[~_succeed(probe, found, images, images, rows, logits, config)]
    classes = None if probe.goal.targeted else probe.goal.likeliest_others(logits, config.targets)
    phases = config.restarts * (1 if classes is None else classes.shape[1])
    for phase in range(phases):
        restart, rank = divmod(phase, phases // config.restarts)
        start = images if restart == 0 else _random_start(images, found, config.epsilon, draws, phase)
        first_step = 1 + 2 * phase * config.steps
        target = None if classes is None else classes[:, rank]
        name = f"restart {restart + 1}" if classes is None else f"target {rank + 1}, restart {restart + 1}"
        probe.begin(name, first_step)
        rows = _walk(probe, images, start, target, rows, config, first_step, found)
    lowest, highest = ball(images, config.epsilon)
    return found.images.clamp(lowest, highest)  # a distance rounded to epsilon may lie past the ball's last float


def _random_start(images: Tensor, found: Nearest, epsilon: float, draws: Draws, phase: int) -> Tensor:
    """Uniform points no farther away than half of what was found, or of epsilon: (n, c, h, w)."""
    start = draws.uniform("fab", tuple(images.shape[1:]), round_=phase).to(images.device)
    reach = found.rank.clamp(max=epsilon)[:, None, None, None] / 2
    return (images + reach * (2 * start - 1)).clamp(0, 1)


def _walk(
    probe: Probe,
    images: Tensor,
    start: Tensor,
    target: Tensor | None,
    rows: Tensor,
    config: FabConfig,
    first_step: int,
    found: Nearest,
) -> Tensor:
    """Go for one class, with the images at `rows`; returns the rows that are still to be worked on.

    Every step takes two looks: the gradient where it starts, the margin where it ends.
    """
    current = start[rows]  # (m, c, h, w)
    for step in range(first_step, first_step + 2 * config.steps, 2):
        if len(rows) == 0:
            return rows
        clean = images[rows]
        objective: Objective = margin_loss if target is None else partial(_lead, target[rows])
        look = probe.gradient(current, rows, objective, step=step)
        current = _step(current, clean, look.loss, look.gradient)
        logits = probe.logits(current, rows, step=step + 1)
        done = _succeed(probe, found, current, clean, rows, logits, config)
        outside = probe.goal.select(rows).margin(logits) > 0
        current = torch.where(outside[:, None, None, None], clean + BACKWARD * (current - clean), current)
        rows, current = rows[~done], current[~done]
    return rows


def _step(current: Tensor, clean: Tensor, lead: Tensor, gradient: Tensor) -> Tensor:
    """Step past the hyperplane lead + gradient · (x - current) = 0, drawn towards the clean image.

    Args:
        current: (m, c, h, w) float32 in [0, 1].
        clean: likewise.
        lead: (m,) float32 in logit units, of the wrong class at `current`.
        gradient: (m, c, h, w) float32, of the lead at `current`.

    Returns:
        (m, c, h, w) float32 in [0, 1]: algorithm 1's mean of the two points that lie nearest on the hyperplane to
        the current and to the clean image, weighted by their distances.
    """
    here, origin, normal = current.flatten(1), clean.flatten(1), gradient.flatten(1)  # (m, pixels)
    from_here = steps_onto(here, normal, -lead)
    from_origin = steps_onto(origin, normal, (normal * (here - origin)).sum(dim=1) - lead)
    length_here, length_origin = (_length(step).clamp(min=LEAST_STEP) for step in (from_here, from_origin))
    bias = (length_here / (length_here + length_origin)).clamp(max=LARGEST_BIAS)
    moved = (1 - bias) * (here + OVERSHOOT * from_here) + bias * (origin + OVERSHOOT * from_origin)
    return moved.clamp(0, 1).view_as(current)


def _length(steps: Tensor) -> Tensor:
    """L-infinity length of each row: (m, pixels) -> (m, 1)."""
    length: Tensor = vector_norm(steps, ord=torch.inf, dim=1, keepdim=True)
    return length


def _succeed(
    probe: Probe, found: Nearest, current: Tensor, clean: Tensor, rows: Tensor, logits: Tensor, config: FabConfig
) -> Tensor:
    """Keep nearer successes within epsilon; returns (m,) bool, where work ends.

    The nearest of many points on the boundary are those with the least margin, down to rounding: the nearest success
    that is more than rounding goes first. Work ends at once on images misclassified unperturbed: nothing is nearer.
    """
    linf = linf_distance(current, clean)
    margin = probe.goal.select(rows).margin(logits)
    nearer = (linf <= config.epsilon) & (linf < found.rank[rows])
    met = probe.has_reached(current, rows, margin, 0.0, wanted=nearer) & nearer
    sure = margin > ROUNDING * logits.abs().amax(dim=1)
    found.keep(rows, current, torch.where(met, linf + DOUBTFUL * ~sure, torch.inf))
    return met & sure & ((linf == 0) | (config.until == "success"))


def _lead(target: Tensor, logits: Tensor, goal: Goal) -> Tensor:
    """How far the target (m,) leads over the true class, in logit units: (m, classes) -> (m,)."""
    return (logits.gather(1, target[:, None]) - logits.gather(1, goal.classes[:, None])).squeeze(1)


FAB = AttackEntry(
    name="fab",
    summary="minimum L-infinity distance along the linearized boundary to each of the likeliest wrong classes",
    source="Croce & Hein 2020, arXiv:1907.02044, as in AutoAttack, arXiv:2003.01690",
    config=FabConfig,
    attack=fab,
    climbs=margin_loss,
    needs_logits=True,
)
