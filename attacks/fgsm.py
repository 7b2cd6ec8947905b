"""Fast gradient sign method: one signed-gradient step.

Source: Goodfellow et al. 2015, arXiv:1412.6572, section 4.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.checks import require_epsilon
from attacks.contract import AttackEntry, Goal, Logits
from attacks.draws import Draws


@dataclass(frozen=True, slots=True, kw_only=True)
class FgsmConfig:
    """epsilon: L-infinity budget in pixel units (images span [0, 1])."""

    epsilon: float

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)


def fgsm(logits_of: Logits, images: Tensor, goal: Goal, config: FgsmConfig, _draws: Draws) -> Tensor:
    """Step once along the sign of the loss gradient.

    Args:
        logits_of: differentiable, (n, c, h, w) -> (n, classes).
        images: (n, c, h, w) float32 in [0, 1].
        goal: the true classes to leave or the target classes to reach.
        config: the budget.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`. Success is judged elsewhere.
    """
    images = images.detach().requires_grad_()
    loss = goal.loss(logits_of(images)).sum()
    (gradient,) = torch.autograd.grad(loss, images)
    return (images + config.epsilon * gradient.sign()).clamp(0, 1).detach()


FGSM = AttackEntry(
    name="fgsm",
    summary="one signed-gradient step of size epsilon (L-infinity)",
    source="Goodfellow et al. 2015, arXiv:1412.6572",
    config=FgsmConfig,
    attack=fgsm,
)
