"""What gradient attacks climb, one number an image. Larger is nearer to the goal."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from attacks.goal import Goal


def cross_entropy_loss(logits: Tensor, goal: Goal) -> Tensor:
    """Cross-entropy of the true class, or minus that of the target: (n, classes) -> (n,).

    Source: Goodfellow et al. 2015, arXiv:1412.6572.
    """
    loss = cross_entropy(logits, goal.classes, reduction="none")
    return -loss if goal.targeted else loss


def margin_loss(logits: Tensor, goal: Goal) -> Tensor:
    """The goal's margin itself: (n, classes) -> (n,), in logit units.

    Source: Carlini & Wagner 2017, arXiv:1608.04644, section V.A (objective f6).
    """
    return goal.margin(logits)
