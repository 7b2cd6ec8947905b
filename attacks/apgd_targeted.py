"""Auto-PGD towards one likely wrong class after the other, as AutoAttack does it.

Source: Croce & Hein 2020, arXiv:2003.01690, section 4 (the loss) and section 5 (nine targets).
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from attacks.apgd import ApgdConfig, climb_each
from attacks.checks import require_positive
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.errors import RequestError
from attacks.losses import margin_loss, targeted_dlr_loss
from attacks.probe import Objective, Probe
from attacks.worst import Worst


@dataclass(frozen=True, slots=True, kw_only=True)
class ApgdTargetedConfig(ApgdConfig):
    """Options of the attack; steps and restarts are those of each target.

    targets: wrong classes tried per image, the likeliest first; all of them where there are fewer.
    """

    targets: int = 9

    def __post_init__(self) -> None:
        ApgdConfig.__post_init__(self)  # super() does not know a class that was made again with slots
        require_positive("targets", self.targets)


def apgd_targeted(probe: Probe, images: Tensor, config: ApgdTargetedConfig, draws: Draws) -> Tensor:
    """Climb towards each target in turn; whichever wrong class comes out, the goal is met.

    The clean image is looked at first, to rank its classes, and counts as an iterate.

    Args:
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget, targets, number of steps and restarts.
        draws: random starts, from (seed, image index) alone.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`: each image's iterate with the largest margin.
        Success is judged elsewhere.

    Raises:
        RequestError: the model knows fewer than 4 classes, or the goal has a target of its own.
    """
    if probe.goal.targeted:
        raise RequestError("apgd-t picks its target classes itself; take apgd-dlr for a target of your own")
    worst, rows = Worst.of(images), torch.arange(len(images), device=images.device)
    probe.begin("clean", 0)
    logits = probe.logits(images, rows, step=0)
    margin = probe.goal.margin(logits)
    worst.keep(rows, images, margin)
    if config.until == "success":
        rows = rows[~probe.is_broken(images, rows, margin)]
    tried = probe.goal.likeliest_others(logits, config.targets)  # (n, targets)
    climbs = [
        (f"target {rank}, restart {restart}", partial(_toward, targets))
        for rank, targets in enumerate(tried.unbind(dim=1), start=1)
        for restart in range(1, config.restarts + 1)
    ]
    climb_each(climbs, probe, images, rows, config, draws, "apgd-t", worst, first_step=1)
    return worst.images


def _toward(targets: Tensor, rows: Tensor) -> Objective:
    """Climb towards `targets` (n,), of which the images at `rows` (m,) take theirs."""
    return partial(targeted_dlr_loss, targets[rows])


APGD_T = AttackEntry(
    name="apgd-t",
    summary="Auto-PGD towards each of the likeliest wrong classes, on the targeted difference of logits ratio",
    source="Croce & Hein 2020, arXiv:2003.01690",
    config=ApgdTargetedConfig,
    attack=apgd_targeted,
    climbs=margin_loss,
    needs_logits=True,
)
