"""Attacks on a classifier and its detector that need no gradient of the detector's score.

Sources: Andriushchenko et al. 2020, arXiv:1912.00049, on the joint decision [D]; transfer of what deceives the
classifier alone, picked by the detector's score (Carlini & Wagner 2017, arXiv:1705.07263, section 2.2).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.checks import require_not_negative
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.pgd_detector import PgdDetectorConfig, along, climb_restarts
from attacks.probe import Probe
from attacks.square import SquareConfig, square
from attacks.watched import WatchedProbe, require_watched, seen_margin


@dataclass(frozen=True, slots=True, kw_only=True)
class SquareDetectorConfig(SquareConfig):
    """Options of the attack: those of `square`.

    confidence: kappa, the margin in logit units from which on the classifier counts as deceived.
    expectation: looks averaged a query, for defenses that draw random numbers at inference.
    """

    confidence: float = 0.0
    expectation: int = 1

    def __post_init__(self) -> None:
        SquareConfig.__post_init__(self)
        require_not_negative("confidence", self.confidence)


class JointProbe(Probe):
    """A probe whose margin is that of the joint decision: above 0 where the goal is met and no alarm is raised.

    Args:
        watched: classifier and detector, and the goal of each image.
        confidence: in logit units, what the goal asks for.
    """

    def __init__(self, watched: WatchedProbe, confidence: float) -> None:
        super().__init__(watched.forward, watched.goal, watched.sample_ids)
        self._watched = watched
        self._confidence = confidence

    def margin(self, images: Tensor, rows: Tensor, *, step: int) -> Tensor:
        """The smaller of the margin beyond the confidence, in logit units, and of minus the suspicion: (m,)."""
        look = self._watched.see(images, rows, step=step)
        return torch.minimum(look.margin - self._confidence, -look.suspicion)


def square_detector(probe: Probe, images: Tensor, config: SquareDetectorConfig, draws: Draws) -> Tensor:
    """Square on the joint decision.

    Args:
        probe: classifier, detector, and the goal of each image; no gradient is asked for.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget and number of queries.
        draws: of the images.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`. Success is judged elsewhere.
    """
    return square(JointProbe(require_watched(probe), config.confidence), images, config, draws)


def transfer(probe: Probe, images: Tensor, config: PgdDetectorConfig, draws: Draws) -> Tensor:
    """Climb the classifier's margin alone and keep the misclassified iterate that the detector suspects least."""
    return climb_restarts(require_watched(probe), images, config, draws, along(seen_margin), "transfer")


TRANSFER = AttackEntry(
    name="transfer",
    summary="deceives the classifier alone; of its iterates that which the detector suspects least",
    source="Carlini & Wagner 2017, arXiv:1705.07263, section 2.2",
    config=PgdDetectorConfig,
    attack=transfer,
    is_aware=True,
)

SQUARE_DETECTOR = AttackEntry(
    name="square-detector",
    summary="square on classifier and detector together, without gradients",
    source="Andriushchenko et al. 2020, arXiv:1912.00049; the joint decision is our reading",
    config=SquareDetectorConfig,
    attack=square_detector,
    is_aware=True,
    follows_gradients=False,
)
