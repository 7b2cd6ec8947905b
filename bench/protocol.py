"""Which test images form set I (fits the logistic regression) and set II (is judged), and what each is turned into.

Sources: supplement Algorithm 1; the two protocols are our reading of Tables 3 to 5 [D]:
- sound: correctly classified images in random order, sets disjoint, images of the target class left out of set II;
- paper: set II is the first images of the test split in order, none left out; set I the correct ones after them.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from attacks.draws import Draws
from attacks.errors import RequestError
from attacks.goal import Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """fit: (n,) int64 indices of set I; test: (m,) int64 of set II; both into the test split, disjoint."""

    fit: Tensor
    test: Tensor


def choose_sets(
    protocol: str, *, correct: Tensor, labels: Tensor, target: str, n_fit: int, n_test: int, seed: int
) -> Sets:
    """Choose both sets.

    Args:
        protocol: "sound" or "paper".
        correct: (n,) bool, whether the defended classifier gets each test image right.
        labels: (n,) int64.
        target: of the attack; a class number under "sound" keeps that class out of set II.
        n_fit: images wanted in set I; 0 for a bare classifier, whose test images may be misclassified ones too.
        n_test: images wanted in set II.
        seed: of the random order.

    Raises:
        RequestError: the split does not hold that many.
    """
    everything = torch.arange(len(correct))
    if protocol == "paper":
        test, rest = everything[:n_test], everything[n_test:]
        fit = rest[correct[rest]][:n_fit]
    else:
        order = torch.randperm(len(correct), generator=Generator().manual_seed(seed))
        usable = order[correct[order]] if n_fit else order
        is_eligible = labels[usable] != int(target) if target.isdecimal() else torch.ones(len(usable), dtype=torch.bool)
        test = usable[is_eligible][:n_test]
        fit = usable[~torch.isin(usable, test)][:n_fit]
    if len(test) < n_test or len(fit) < n_fit:
        raise RequestError(
            f"{n_fit} images for set I and {n_test} for set II are wanted, but only {int(correct.sum())} of the "
            f"{len(correct)} test images are classified correctly (less those of a target class). "
            "Lower --n-fit or --n-test"
        )
    return Sets(fit=fit, test=test)


def choose_goal(target: str, labels: Tensor, logits: Tensor, draws: Draws) -> Goal:
    """What the attack is to make of each image.

    Args:
        target: "none", "random", "least-likely" or a class number.
        labels: (n,) int64, true classes.
        logits: (n, classes) of the clean images.
        draws: of the images, for random targets.
    """
    classes = logits.shape[1]
    if target == "none":
        return Goal(classes=labels)
    if target == "random":  # one of the other classes, each equally likely
        shift = 1 + draws.integers("target", classes - 1).to(labels.device)
        return Goal(classes=(labels + shift) % classes, targeted=True)
    if target == "least-likely":
        return Goal(classes=logits.argmin(dim=1), targeted=True)
    return Goal(classes=torch.full_like(labels, int(target)), targeted=True)
