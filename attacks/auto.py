"""AutoAttack: the per-image worst case of APGD-CE, targeted APGD-DLR, targeted FAB and Square, with its parameters.

Source: Croce & Hein 2020, arXiv:2003.01690, section 5 ("standard" version). All four members are our own, each
compared with torchattacks' in the tests. Every member works on the images that those before it left unbroken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attacks.apgd import APGD_CE, APGD_DLR, ApgdConfig
from attacks.apgd_targeted import APGD_T, ApgdTargetedConfig
from attacks.checks import require_epsilon, require_positive
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.fab import FAB, FabConfig
from attacks.probe import Probe
from attacks.square import SQUARE, SquareConfig
from attacks.worst import Worst

MEMBERS = (APGD_CE.name, APGD_DLR.name, APGD_T.name, FAB.name, SQUARE.name)  # in the order they work


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoConfig:
    """Options of the attack; all but epsilon are AutoAttack's own.

    epsilon: L-infinity budget in pixel units.
    steps: of APGD and FAB, for each target; targets: wrong classes they try; queries: of Square.
    """

    epsilon: float
    steps: int = 100
    targets: int = 9
    queries: int = 5000

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        for name in ("steps", "targets", "queries"):
            require_positive(name, getattr(self, name))


def auto(probe: Probe, images: Tensor, config: AutoConfig, draws: Draws) -> Tensor:
    """Run the members one after the other until an image is broken.

    Args:
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget.
        draws: of the images.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`: what broke the image, or the member's result
        with the largest margin. Success is judged elsewhere.
    """
    worst, rows = Worst.of(images), torch.arange(len(images), device=images.device)
    for entry, member_config in _members(config, targeted=probe.goal.targeted):
        if len(rows) == 0:
            break
        part = probe.select(rows)
        crafted = entry.attack(part, images[rows], member_config, draws.select(rows))
        own = torch.arange(len(rows), device=rows.device)  # the part's own rows
        part.begin("result", part.steps)
        margin = part.margin(crafted, own, step=part.steps)
        probe.credit(rows[margin > worst.margin[rows]], MEMBERS.index(entry.name))
        worst.keep(rows, crafted, margin)
        broken = part.is_broken(crafted, own, margin)
        worst.settle(rows[broken], crafted[broken])
        probe.credit(rows[broken], MEMBERS.index(entry.name))
        probe.take_in(part, rows, entry.name)
        rows = rows[~broken]
    return worst.images


def members_for(*, targeted: bool) -> tuple[str, ...]:
    """Names of the members that work, in their order: toward a target of the user's, APGD-DLR goes there alone."""
    return tuple(name for name in MEMBERS if name != (APGD_T if targeted else APGD_DLR).name)


def _members(config: AutoConfig, *, targeted: bool) -> Iterator[tuple[AttackEntry, Any]]:
    """The members of `members_for` and their configs."""
    plain = ApgdConfig(epsilon=config.epsilon, steps=config.steps, until="success")
    yield APGD_CE, plain
    if targeted:
        yield APGD_DLR, plain
    else:
        yield (
            APGD_T,
            ApgdTargetedConfig(epsilon=config.epsilon, steps=config.steps, targets=config.targets, until="success"),
        )
    yield FAB, FabConfig(epsilon=config.epsilon, steps=config.steps, targets=config.targets, until="success")
    yield SQUARE, SquareConfig(epsilon=config.epsilon, queries=config.queries, until="success")


AUTO = AttackEntry(
    name="auto",
    summary="AutoAttack: worst case of APGD-CE, targeted APGD-DLR, targeted FAB and Square (L-infinity)",
    source="Croce & Hein 2020, arXiv:2003.01690",
    config=AutoConfig,
    attack=auto,
    needs_logits=True,
    members=MEMBERS,
    follows_gradients=False,  # Square, one of its members, follows none
)
