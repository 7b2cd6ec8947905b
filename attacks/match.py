"""Feature matching: bring an image's representation to that of a clean image of another class.

Source: Sabour et al. 2016, arXiv:1511.05122, section 3: min ||phi(x') - phi(guide)||^2 within an L-infinity ball (there
by L-BFGS). What looks to the detector like a clean image of another class is accepted, and misclassified.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.checks import require_epsilon, require_not_negative, require_positive
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.goal import Goal
from attacks.pgd_detector import along, climb
from attacks.probe import Probe
from attacks.stealthiest import Stealthiest
from attacks.watched import Guides, Seen, require_watched


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchConfig:
    """Options of the attack.

    epsilon: L-infinity budget in pixel units.
    guides: clean images imitated one after the other, the nearest ones in representation first.
    steps: for each; step_size: the first step in pixel units, later ones fall to zero; None takes epsilon / 5.
    confidence: kappa, the margin in logit units from which on the classifier counts as deceived.
    expectation: looks averaged a step, for defenses that draw random numbers at inference.
    """

    epsilon: float
    guides: int = 3
    steps: int = 50
    step_size: float | None = None
    confidence: float = 0.0
    expectation: int = 1

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        require_not_negative("confidence", self.confidence)
        for name in ("guides", "steps", "expectation"):
            require_positive(name, getattr(self, name))
        if self.step_size is not None:
            require_positive("step_size", self.step_size)


def match(probe: Probe, images: Tensor, config: MatchConfig, _draws: Draws) -> Tensor:
    """Imitate the nearest guides of other classes (of the target class, when targeted), one after the other.

    Args:
        probe: classifier, detector with its guides, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`: the misclassified iterate with the lowest
        suspicion. Success is judged elsewhere.

    Raises:
        RequestError: there is no detector.
    """
    watched = require_watched(probe)
    kept = Stealthiest.of(images, config.confidence)
    if len(images) == 0 or len(watched.watched.guides.classes) == 0:
        return kept.images
    with torch.no_grad():
        seen = watched.watched(images)
    models = _models(seen.representation, probe.goal, watched.watched.guides, config.guides)  # (n, guides, d)
    for number in range(config.guides):

        def likeness(seen: Seen, _goal: Goal, wanted: Tensor = models[:, number]) -> Tensor:
            return -(seen.representation - wanted).square().sum(dim=1)

        first_step = number * (config.steps + 1)
        probe.begin(f"guide {number + 1}", first_step)
        climb(watched, images, images, config, along(likeness), first_step, kept)
    return kept.images


def _models(representations: Tensor, goal: Goal, guides: Guides, count: int) -> Tensor:
    """Representations of each image's nearest usable guides, (n, count, d), nearest first.

    An image with fewer guides imitates its nearest one again; one without any stays what it is.
    """
    own = guides.classes[None, :] == goal.classes[:, None]  # (n, guides)
    usable = own if goal.targeted else ~own
    distances = torch.cdist(representations.double(), guides.representations.double())
    ranked = distances.masked_fill(~usable, torch.inf).argsort(dim=1, stable=True)
    place = torch.arange(count, device=ranked.device)[None, :]
    available = usable.sum(dim=1, keepdim=True)  # (n, 1)
    chosen = ranked.gather(1, torch.where(place < available, place, 0))  # (n, count)
    return torch.where((available > 0)[..., None], guides.representations[chosen], representations[:, None])


MATCH = AttackEntry(
    name="match",
    summary="brings the representation to that of clean images of other classes",
    source="Sabour et al. 2016, arXiv:1511.05122",
    config=MatchConfig,
    attack=match,
    is_aware=True,
)
