"""The worst case of all attacks that know the detector, image by image.

Sources: Tramer et al. 2020, arXiv:2002.08347 (one attack is not enough); Carlini et al. 2019, arXiv:1902.06705, section
4.3. A detector whose score has no gradients meets what needs none: images that deceive the classifier, picked by its
score (transfer), feature matching, and Square on the joint decision.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attacks.ball import ball
from attacks.black_box_detector import SQUARE_DETECTOR, TRANSFER, SquareDetectorConfig
from attacks.checks import require_epsilon, require_not_negative, require_positive
from attacks.contract import AttackEntry
from attacks.cw_detector import CW_DETECTOR, CwDetectorConfig
from attacks.draws import Draws
from attacks.match import MATCH, MatchConfig
from attacks.norms import l2_distance
from attacks.pgd_detector import PGD_ORTHOGONAL, PGD_SELECTIVE, PgdDetectorConfig
from attacks.probe import Probe
from attacks.stealthiest import Stealthiest
from attacks.watched import require_watched


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveConfig:
    """Options of the attack. An image counts when it keeps one of both budgets.

    epsilon: L-infinity budget in pixel units.
    max_l2: L2 budget in pixel units, for cw-detector.
    confidence: kappa, the margin in logit units from which on the classifier counts as deceived.
    steps: of each gradient attack and restart, half as many for each guide; restarts: of the PGD attacks.
    guides: clean images that match imitates.
    search_steps: values of c tried per image and phase.
    queries: of Square, for a detector without gradients.
    expectation: looks averaged a step, for defenses that draw random numbers at inference.
    """

    epsilon: float
    max_l2: float
    confidence: float = 0.0
    steps: int = 100
    restarts: int = 1
    guides: int = 3
    search_steps: int = 4
    queries: int = 2000
    expectation: int = 1

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        require_not_negative("confidence", self.confidence)
        for name in ("max_l2", "steps", "restarts", "guides", "search_steps", "queries", "expectation"):
            require_positive(name, getattr(self, name))

    @property
    def keeps_one_budget(self) -> bool:
        """Images within epsilon may be beyond max_l2, and the other way round."""
        return True


def adaptive(probe: Probe, images: Tensor, config: AdaptiveConfig, draws: Draws) -> Tensor:
    """Run every member on every image.

    Args:
        probe: classifier, detector, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: budgets.
        draws: of the images.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` or within `max_l2` of `images`: of the members' results that
        deceive the classifier, the one that the detector suspects least. Success is judged elsewhere.
    """
    watched = require_watched(probe)
    kept = Stealthiest.of(images, config.confidence)
    rows = torch.arange(len(images), device=images.device)
    for entry, member_config in _members(config, with_gradients=watched.watched.is_differentiable):
        part = watched.select(rows)
        crafted = entry.attack(part, images, member_config, draws).detach()
        part.begin("result", part.steps)
        look = part.see(crafted, rows, step=part.steps)
        allowed = _keeps_one_budget(crafted, images, config)
        better = kept.keep(rows[allowed], crafted[allowed], look.margin[allowed], look.suspicion[allowed])
        watched.credit(rows[allowed][better], MEMBERS.index(entry.name))
        watched.take_in(part, rows, entry.name)
    return kept.images


def _keeps_one_budget(crafted: Tensor, images: Tensor, config: AdaptiveConfig) -> Tensor:
    """Where (n, c, h, w) images are within epsilon or max_l2 of the clean ones: (n,) bool."""
    lowest, highest = ball(images, config.epsilon)
    inside = ((crafted >= lowest) & (crafted <= highest)).flatten(1).all(dim=1)
    return inside | (l2_distance(crafted, images) <= config.max_l2)


def _members(config: AdaptiveConfig, *, with_gradients: bool) -> Iterator[tuple[AttackEntry, Any]]:
    """The members that work, and their configs."""
    shared: dict[str, Any] = {"confidence": config.confidence, "expectation": config.expectation}
    shared_linf = shared | {"epsilon": config.epsilon}
    pgd_config = PgdDetectorConfig(steps=config.steps, restarts=config.restarts, **shared_linf)
    if with_gradients:
        search_steps, max_l2 = config.search_steps, config.max_l2
        yield CW_DETECTOR, CwDetectorConfig(steps=config.steps, search_steps=search_steps, max_l2=max_l2, **shared)
        yield PGD_SELECTIVE, pgd_config
        yield PGD_ORTHOGONAL, pgd_config
    else:
        yield TRANSFER, pgd_config
        yield SQUARE_DETECTOR, SquareDetectorConfig(queries=config.queries, **shared_linf)
    yield MATCH, MatchConfig(steps=(config.steps + 1) // 2, guides=config.guides, **shared_linf)


MEMBERS = tuple(entry.name for entry in (CW_DETECTOR, PGD_SELECTIVE, PGD_ORTHOGONAL, TRANSFER, SQUARE_DETECTOR, MATCH))

ADAPTIVE = AttackEntry(
    name="adaptive",
    summary="knows the detector: worst case of cw-detector, pgd-selective, pgd-orthogonal and match",
    source="Tramer et al. 2020, arXiv:2002.08347; Carlini et al. 2019, arXiv:1902.06705",
    config=AdaptiveConfig,
    attack=adaptive,
    members=MEMBERS,
    needs_logits=True,
    is_aware=True,
    follows_gradients=False,  # what it runs on a detector without gradients needs none
)
