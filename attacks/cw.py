"""Carlini & Wagner's L2 attack, with confidence.

Source: Carlini & Wagner 2017, arXiv:1608.04644, sections V and VI, and the authors' code. Two departures from that
code: an image stops when its own loss stops falling (there, when the whole batch's does, so results depend on the
batch), and what was found is measured against the image itself rather than its shrunk copy.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.linalg import vector_norm

from attacks.checks import require_not_negative, require_positive
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.goal import Goal, reached
from attacks.probe import Probe

SHRINK = 0.999999  # keeps atanh finite, so pixels of exactly 0 or 1 still have a gradient [C]
CHECKS = 10  # an image's loss is compared this many times a search step [C]
LEAST_GAIN = 0.9999  # falling by less than this factor between checks counts as standing still [C]
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

    def keep(self, indices: Tensor, images: Tensor, l2: Tensor, success: Tensor) -> None:
        """Keep those of `images` (m, ...) at `indices` (m,) that succeed nearer than what is held."""
        better = success & (l2 < self.l2[indices])
        self.images[indices[better]] = images[better]
        self.l2[indices[better]] = l2[better]


def cw(probe: Probe, images: Tensor, config: CwConfig, _draws: Draws) -> Tensor:
    """Find the nearest image whose margin reaches the confidence, searching c per image.

    Args:
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: confidence, budget and limits.

    Returns:
        (n, c, h, w) float32 in [0, 1]; the clean image where no success was found. Success is judged elsewhere.
    """
    limit = torch.inf if config.max_l2 is None else config.max_l2
    best = Found(images.detach().clone(), images.new_full((len(images),), torch.inf))
    c = images.new_full((len(images),), config.initial_c)
    lower, upper = torch.zeros_like(c), torch.full_like(c, torch.inf)

    for search_step in range(config.search_steps):
        succeeded = _minimize(probe, images, config, c, best, search_step * config.steps)
        upper = torch.where(succeeded, torch.minimum(upper, c), upper)
        lower = torch.where(succeeded, lower, torch.maximum(lower, c))
        c = torch.where(upper.isinf(), 10 * c, (lower + upper) / 2)

    return torch.where((best.l2 <= limit)[:, None, None, None], best.images, images)


def _minimize(probe: Probe, images: Tensor, config: CwConfig, c: Tensor, best: Found, first_step: int) -> Tensor:
    """Run Adam on ||x' - x||^2 + c max(0, kappa - margin) for every image; note successes in `best`.

    Images leave the batch when their own loss stands still. Returns (n,) bool: the confidence was reached with
    this c, at whatever distance.
    """
    active = torch.arange(len(images), device=images.device)  # (m,) images still worked on
    succeeded = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    w = torch.atanh((2 * images - 1) * SHRINK)
    first, second = torch.zeros_like(w), torch.zeros_like(w)  # Adam's moments
    checked_loss = images.new_full((len(images),), torch.inf)  # (m,)
    check_every = max(1, config.steps // CHECKS)

    for step in range(1, config.steps + 1):
        tanh = torch.tanh(w)
        crafted = (tanh + 1) / 2
        look = probe.gradient(crafted, active, partial(_hinge, config.confidence), step=first_step + step - 1)
        change = crafted - images[active]
        l2 = vector_norm(change.flatten(1), dim=1)  # (m,)
        loss = l2.square() - c[active] * look.loss
        in_pixels = 2 * change - c[active][:, None, None, None] * look.gradient
        gradient = in_pixels * (1 - tanh.square()) / 2  # by the chain rule through tanh

        success = reached(look.margin, config.confidence)
        succeeded[active] |= success
        best.keep(active, crafted, l2, success)

        first = BETA_1 * first + (1 - BETA_1) * gradient
        second = BETA_2 * second + (1 - BETA_2) * gradient.square()
        unbiased = (second / (1 - BETA_2**step)).sqrt() + DAMPING
        w = w - config.learning_rate * first / (1 - BETA_1**step) / unbiased

        if step % check_every == 0:
            falling = loss <= LEAST_GAIN * checked_loss
            active, w, first, second = active[falling], w[falling], first[falling], second[falling]
            checked_loss = loss[falling]
            if len(active) == 0:
                break
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
    needs_logits=True,
)
