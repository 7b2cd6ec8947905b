"""Carlini & Wagner's L2 attack, with confidence.

Source: Carlini & Wagner 2017, arXiv:1608.04644, sections V and VI, and the authors' code. Departures from that code:
an image stops when its own loss stops falling (there, when the whole batch's does, so results depend on the batch);
every value of c but the first starts where the one before it ended (there, at the image, which costs two to three
times the steps for the same distance); what was found is measured against the image itself, not its shrunk copy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.linalg import vector_norm

from attacks.checks import require_not_negative, require_positive
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.goal import Goal
from attacks.losses import margin_loss
from attacks.probe import Probe

SHRINK = 0.999999  # keeps atanh finite, so pixels of exactly 0 or 1 still have a gradient [C]
PATIENCE = 15  # steps between two looks at an image's loss
LEAST_GAIN = 0.998  # a best loss that fell by less than this factor in that time counts as standing still
BETA_1, BETA_2, DAMPING = 0.9, 0.999, 1e-8  # Adam's usual constants


@dataclass(frozen=True, slots=True, kw_only=True)
class CwConfig:
    """Options of the attack.

    confidence: kappa, the margin in logit units that counts as success.
    search_steps: values of c tried per image.
    steps: Adam steps for each.
    learning_rate: Adam's, in the space of atanh.
    initial_c: the first c; raised tenfold until success, then bisected.
    max_l2: images that need a larger L2 distance (pixel units) count as not found; None keeps all.
    """

    confidence: float = 0.0
    search_steps: int = 4
    steps: int = 150
    learning_rate: float = 0.1
    initial_c: float = 1.0
    max_l2: float | None = None

    def __post_init__(self) -> None:
        require_not_negative("confidence", self.confidence)
        for name in ("search_steps", "steps", "learning_rate", "initial_c"):
            require_positive(name, getattr(self, name))
        if self.max_l2 is not None:
            require_positive("max_l2", self.max_l2)


@dataclass(slots=True)
class Found:
    """The nearest success so far. images: (n, c, h, w), clean where nothing was found; l2: (n,), inf there."""

    images: Tensor
    l2: Tensor

    @classmethod
    def of(cls, images: Tensor) -> "Found":
        """Nothing found yet for the (n, c, h, w) clean images."""
        return cls(images.detach().clone(), images.new_full((len(images),), torch.inf))

    def within(self, images: Tensor, max_l2: float | None) -> Tensor:
        """What was found within the limit; elsewhere the clean `images` (n, c, h, w)."""
        limit = torch.inf if max_l2 is None else max_l2
        is_near = self.l2.isfinite() & (self.l2 <= limit)
        return torch.where(is_near[:, None, None, None], self.images, images)

    def keep(self, indices: Tensor, images: Tensor, l2: Tensor, success: Tensor) -> None:
        """Keep those of `images` (m, ...) at `indices` (m,) that succeed nearer than what is held."""
        better = success & (l2 < self.l2[indices])
        self.images[indices[better]] = images[better]
        self.l2[indices[better]] = l2[better]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of m images under attack.

    success: (m,) bool.
    gain: (m,) float32, at most 0, how far it is to success; gradient: of it (m, c, h, w).
    """

    success: Tensor
    gain: Tensor
    gradient: Tensor


Try = Callable[[Tensor, Tensor, int, Tensor], Seen]
"""(images (m, c, h, w), rows (m,), step, those (m,) bool whose success would count) -> what was seen of them."""


def cw(probe: Probe, images: Tensor, config: CwConfig, _draws: Draws) -> Tensor:
    """Find the nearest image whose margin reaches the confidence, searching c per image.

    Args:
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: confidence, budget and limits.

    Returns:
        (n, c, h, w) float32 in [0, 1]; the clean image where no success was found. Success is judged elsewhere.
    """
    hinge = partial(_hinge, config.confidence)

    def look_at(crafted: Tensor, rows: Tensor, step: int, wanted: Tensor) -> Seen:
        look = probe.gradient(crafted, rows, hinge, step=step)
        success = probe.has_reached(crafted, rows, look.margin, config.confidence, wanted)
        return Seen(success=success, gain=look.loss, gradient=look.gradient)

    best = Found.of(images)
    search(probe, images, images, config, look_at, best)
    return best.within(images, config.max_l2)


def search(
    probe: Probe, images: Tensor, start: Tensor, config: CwConfig, look_at: Try, best: Found, first_step: int = 0
) -> None:
    """Search c per image: tenfold until success, then bisected; note successes in `best`.

    Args:
        probe: told what is done.
        images: (n, c, h, w), clean.
        start: (n, c, h, w) float32 in [0, 1], where the first value of c begins.
        config: budget.
        look_at: success, and what to climb toward it.
        best: of all images.
        first_step: number of the first step, for the probe.
    """
    w = torch.atanh((2 * start - 1) * SHRINK)
    c = images.new_full((len(images),), config.initial_c)
    lower, upper = torch.zeros_like(c), torch.full_like(c, torch.inf)

    for search_step in range(config.search_steps):
        probe.begin(f"search step {search_step + 1}", first_step + search_step * config.steps)
        succeeded = _minimize(images, w, config, c, look_at, best, first_step + search_step * config.steps)
        upper = torch.where(succeeded, torch.minimum(upper, c), upper)
        lower = torch.where(succeeded, lower, torch.maximum(lower, c))
        c = torch.where(upper.isinf(), 10 * c, (lower + upper) / 2)


def _minimize(
    images: Tensor, start: Tensor, config: CwConfig, c: Tensor, look_at: Try, best: Found, first_step: int
) -> Tensor:
    """Run Adam on ||x' - x||^2 - c gain for every image; note successes in `best`.

    Args:
        images: (n, c, h, w), clean.
        start: (n, c, h, w), w to start from; overwritten by where each image ends.
        config: budget.
        c: (n,) weight of the gain.
        look_at: success, and what to climb toward it.
        best: of all images.
        first_step: number of the first step, for the probe.

    Returns:
        (n,) bool: success was had with this c, at whatever distance, after the first steps.
    """
    rows = torch.arange(len(images), device=images.device)  # (m,) images still worked on
    succeeded = torch.zeros_like(c, dtype=torch.bool)
    w, clean, weight = start.clone(), images, c[:, None, None, None]
    first, second = torch.zeros_like(w), torch.zeros_like(w)  # Adam's moments
    least = torch.full_like(c, torch.inf)  # (m,) smallest loss so far
    least_before = least.clone()  # (m,) the same, one look earlier
    for step in range(1, config.steps + 1):
        if len(rows) == 0:
            break
        settled = step > min(PATIENCE, config.steps - 1)  # before, a success may be owed to where w started
        tanh = torch.tanh(w)
        crafted = (tanh + 1) / 2
        change = crafted - clean
        l2 = vector_norm(change.flatten(1), dim=1)  # (m,)
        seen = look_at(crafted, rows, first_step + step - 1, l2 < best.l2[rows])
        succeeded[rows] |= seen.success & settled
        best.keep(rows, crafted, l2, seen.success)
        least = torch.minimum(least, l2.square() - weight.flatten() * seen.gain)

        in_pixels = 2 * change - weight * seen.gradient
        gradient = in_pixels * (1 - tanh.square()) / 2  # by the chain rule through tanh
        first.lerp_(gradient, 1 - BETA_1)
        second.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        scale = (second / (1 - BETA_2**step)).sqrt_().add_(DAMPING)
        w = w.addcdiv(first, scale, value=-config.learning_rate / (1 - BETA_1**step))

        if step % PATIENCE == 0:
            falling = least <= LEAST_GAIN * least_before
            start[rows] = w
            least_before = least
            if not bool(falling.all()):
                state = (rows, w, clean, weight, first, second, least, least_before)
                rows, w, clean, weight, first, second, least, least_before = (part[falling] for part in state)
    start[rows] = w
    return succeeded


def _hinge(confidence: float, logits: Tensor, goal: Goal) -> Tensor:
    """How far the margin falls short of the confidence, as a gain: (m, classes) -> (m,), at most 0."""
    return (goal.margin(logits) - confidence).clamp(max=0)


CW = AttackEntry(
    name="cw",
    summary="minimum L2 distance at a given confidence, binary search on c per image",
    source="Carlini & Wagner 2017, arXiv:1608.04644",
    config=CwConfig,
    attack=cw,
    climbs=margin_loss,
    needs_logits=True,
)
