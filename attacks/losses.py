"""What gradient attacks climb, one number an image. Larger is nearer to the goal."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from attacks.errors import RequestError
from attacks.goal import Goal

LEAST_SPREAD = 1e-12  # logit units; keeps the ratio finite where the largest logits tie


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


def dlr_loss(logits: Tensor, goal: Goal) -> Tensor:
    """Difference of logits ratio: the goal's margin over the spread of the largest logits, (n, classes) -> (n,).

    Shifting or scaling the logits does not change it, so a confident network does not flatten it. With the logits
    sorted as z_1 >= z_2 >= ..., the spread is z_1 - z_3 for an untargeted goal, and z_1 - (z_3 + z_4) / 2 for a
    targeted one, where the margin compares the target with the largest other logit.

    Source: Croce & Hein 2020, arXiv:2003.01690, section 4, equations 6 and 7 (there with a minus sign and the true
    class, which a targeted goal here does not know).

    Raises:
        RequestError: there are fewer than 3 classes, or 4 with a targeted goal.
    """
    return goal.margin(logits) / _spread(logits, targeted=goal.targeted)


def targeted_dlr_loss(targets: Tensor, logits: Tensor, goal: Goal) -> Tensor:
    """How far a wrong class stands above the true one, over the spread of the largest logits.

    Source: Croce & Hein 2020, arXiv:2003.01690, section 4, equation 7.

    Args:
        targets: (n,) int64, a wrong class for each image.
        logits: (n, classes) float.
        goal: to get away from the true classes.

    Returns:
        (n,), a ratio.

    Raises:
        RequestError: there are fewer than 4 classes.
    """
    compared = logits.gather(1, torch.stack([targets, goal.classes], dim=1))  # (n, 2)
    return (compared[:, 0] - compared[:, 1]) / _spread(logits, targeted=True)


def _spread(logits: Tensor, *, targeted: bool) -> Tensor:
    """Largest logit minus the third, or minus the mean of third and fourth: (n, classes) -> (n,)."""
    needed = 4 if targeted else 3
    known = logits.shape[1]
    if known < needed:
        kind = "targeted DLR" if targeted else "DLR"
        raise RequestError(f"the {kind} loss needs {needed} classes, the model knows {known}; take apgd-ce")
    largest = logits.topk(needed, dim=1).values  # (n, needed), falling
    return largest[:, 0] - largest[:, 2:].mean(dim=1) + LEAST_SPREAD
