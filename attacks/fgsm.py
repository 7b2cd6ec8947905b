"""Fast gradient sign method: one signed-gradient step.

Source: Goodfellow et al. 2015, arXiv:1412.6572, section 4.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.checks import require_epsilon
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.losses import cross_entropy_loss
from attacks.probe import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class FgsmConfig:
    """epsilon: L-infinity budget in pixel units (images span [0, 1])."""

    epsilon: float

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)


def fgsm(probe: Probe, images: Tensor, config: FgsmConfig, _draws: Draws) -> Tensor:
    """Step once along the sign of the loss gradient.

    Args:
        probe: the model, and the goal of each image.
        images: (n, c, h, w) float32 in [0, 1].
        config: the budget.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`. Success is judged elsewhere.
    """
    everything = torch.arange(len(images), device=images.device)
    look = probe.gradient(images, everything, cross_entropy_loss, step=0)
    return (images + config.epsilon * look.gradient.sign()).clamp(0, 1)


FGSM = AttackEntry(
    name="fgsm",
    summary="one signed-gradient step of size epsilon (L-infinity)",
    source="Goodfellow et al. 2015, arXiv:1412.6572",
    config=FgsmConfig,
    attack=fgsm,
)
