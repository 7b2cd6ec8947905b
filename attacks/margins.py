"""Logit margins: how far a class stands above or below all others.

Source: Carlini & Wagner 2017, arXiv:1608.04644, section V.A (objective f6).
"""

import torch
from torch import Tensor


def class_margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Logit of the given class minus the largest other logit, per image.

    Args:
        logits: (n, classes) float.
        classes: (n,) int64.

    Returns:
        (n,) in logit units; positive where the class is predicted.
    """
    own = logits.gather(1, classes[:, None]).squeeze(1)  # (n,)
    others = logits.scatter(1, classes[:, None], -torch.inf)  # (n, classes)
    return own - others.amax(dim=1)
