"""Carlini & Wagner's L2 attack on a classifier and its detector, in two phases.

Source: Carlini & Wagner 2017, arXiv:1705.07263, section 4.4 (the attack on kernel density estimates): deceive the
classifier first; then, from there, also bring the detector's score below its threshold, by a hinge in the same loss,
||x' - x||^2 + c (max(0, kappa - margin) + max(0, suspicion + slack)). An image that ends in neither starts once more
from the nearest clean image that is misclassified with that confidence and accepted [D]: there the confidence asked for
and the detector agree.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from attacks import cw
from attacks.checks import require_positive
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.goal import Goal, reached
from attacks.losses import margin_loss
from attacks.norms import l2_distance
from attacks.probe import Probe
from attacks.watched import Seen, WatchedProbe, require_gradients_of, require_watched

GUIDES_AT_ONCE = 100
SLACK = 0.05  # spreads of clean images' log-odds below the threshold, so that rounding raises no alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class CwDetectorConfig(cw.CwConfig):
    """Options of the attack: those of `cw`, for each phase.

    expectation: looks averaged a step, for defenses that draw random numbers at inference.
    """

    expectation: int = 1

    def __post_init__(self) -> None:
        cw.CwConfig.__post_init__(self)
        require_positive("expectation", self.expectation)


def cw_detector(probe: Probe, images: Tensor, config: CwDetectorConfig, draws: Draws) -> Tensor:
    """Find the nearest image whose margin reaches the confidence and that raises no alarm.

    Args:
        probe: classifier, detector, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: confidence, budget and limits.
        draws: of the images.

    Returns:
        (n, c, h, w) float32 in [0, 1]; what the first phase found where the second found nothing within the limit, and
        the clean image where neither did. Success is judged elsewhere.
    """
    watched = require_watched(probe)
    require_gradients_of(watched, CW_DETECTOR.name)
    gain = partial(_gain, config.confidence)

    def look_at(crafted: Tensor, rows: Tensor, step: int, _wanted: Tensor) -> cw.Seen:
        look = watched.climb(crafted, rows, (gain,), step=step)
        success = reached(look.margin, config.confidence) & (look.suspicion < 0)
        return cw.Seen(success=success, gain=look.losses[0], gradient=look.gradients[0])

    deceived = cw.cw(probe, images, replace(config, max_l2=None), draws)
    best, phase = cw.Found.of(images), config.search_steps * config.steps
    cw.search(probe, images, deceived, config, look_at, best, first_step=phase)
    _from_guides(watched, images, config, look_at, best, first_step=2 * phase)
    firsts = cw.Found(images=deceived, l2=l2_distance(deceived, images))
    return best.within(firsts.within(images, config.max_l2), config.max_l2)


def _from_guides(
    probe: WatchedProbe, images: Tensor, config: CwDetectorConfig, look_at: cw.Try, best: cw.Found, first_step: int
) -> None:
    """Search once more for images without success, from the nearest guide that is one; note successes in `best`."""
    rows, start = _nearest_guides(probe, images, torch.nonzero(best.l2.isinf()).squeeze(1), config.confidence)
    if len(rows) == 0:
        return
    found = cw.Found.of(images[rows])

    def look_at_rows(crafted: Tensor, own: Tensor, step: int, wanted: Tensor) -> cw.Seen:
        return look_at(crafted, rows[own], step, wanted)

    cw.search(probe, images[rows], start, config, look_at_rows, found, first_step)
    best.keep(rows, found.images, found.l2, found.l2.isfinite())


def _nearest_guides(probe: WatchedProbe, images: Tensor, rows: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """The nearest guides that meet the goals of the images at `rows` (m,): rows that have one, and these guides."""
    guides = probe.watched.guides
    if len(rows) == 0 or len(guides.classes) == 0:
        return rows[:0], images[:0]
    with torch.no_grad():
        logits = torch.cat([probe.watched(part).logits for part in guides.images.split(GUIDES_AT_ONCE)])
    distances = torch.cdist(images[rows].flatten(1), guides.images.flatten(1))  # (m, guides)
    for row, distance in zip(rows.tolist(), distances, strict=True):
        goal = Goal(classes=probe.goal.classes[row].expand(len(logits)), targeted=probe.goal.targeted)
        distance[~reached(goal.margin(logits), confidence)] = torch.inf
    nearest = distances.min(dim=1)
    has_one = nearest.values.isfinite()
    return rows[has_one], guides.images[nearest.indices[has_one]]


def _gain(confidence: float, seen: Seen, goal: Goal) -> Tensor:
    """Minus both hinges: how far the margin falls short and how far the suspicion lies too high, (m,) at most 0."""
    short = (confidence - goal.margin(seen.logits)).clamp(min=0)
    return -short - (seen.suspicion + SLACK).clamp(min=0)


CW_DETECTOR = AttackEntry(
    name="cw-detector",
    summary="cw, then from there on also below the detector's threshold, at the least L2 distance",
    source="Carlini & Wagner 2017, arXiv:1705.07263",
    config=CwDetectorConfig,
    attack=cw_detector,
    climbs=margin_loss,
    needs_logits=True,
    is_aware=True,
)
