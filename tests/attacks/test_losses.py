"""The difference of logits ratio. Expected values are worked out by hand from the paper's equations 6 and 7."""

import pytest
import torch

from attacks.errors import RequestError
from attacks.goal import Goal
from attacks.losses import cross_entropy_loss, dlr_loss, targeted_dlr_loss

LOGITS = torch.tensor([[1.0, 3.0, -2.0, 0.0]]).repeat(4, 1)  # sorted: 3, 1, 0, -2
EVERY_CLASS = torch.arange(4)


def test_untargeted_ratio_of_hand_made_logits() -> None:
    # minus (z_y - largest other) over z_1 - z_3 = 3 - 0
    expected = torch.tensor([-(1 - 3) / 3, -(3 - 1) / 3, -(-2 - 3) / 3, -(0 - 3) / 3])
    assert torch.allclose(dlr_loss(LOGITS, Goal(classes=EVERY_CLASS)), expected)


def test_ratio_of_a_target_of_the_users_own() -> None:
    # (z_t - largest other) over z_1 - (z_3 + z_4) / 2 = 3 - (0 - 2) / 2 = 4
    expected = torch.tensor([(1 - 3) / 4, (3 - 1) / 4, (-2 - 3) / 4, (0 - 3) / 4])
    assert torch.allclose(dlr_loss(LOGITS, Goal(classes=EVERY_CLASS, targeted=True)), expected)


def test_ratio_between_a_wrong_class_and_the_true_one() -> None:
    goal = Goal(classes=torch.tensor([1, 1, 0, 2]))
    targets = torch.tensor([0, 2, 3, 0])
    expected = torch.tensor([(1 - 3) / 4, (-2 - 3) / 4, (0 - 1) / 4, (1 + 2) / 4])
    assert torch.allclose(targeted_dlr_loss(targets, LOGITS, goal), expected)


@pytest.mark.parametrize("targeted", [False, True])
def test_shift_and_scale_of_the_logits_do_not_matter(targeted: bool) -> None:
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    classes = torch.arange(50) % 6
    goal, targets = Goal(classes=classes, targeted=targeted), (classes + 1) % 6
    changed = 1000 * logits + torch.linspace(-50, 50, 50)[:, None]
    assert torch.allclose(dlr_loss(changed, goal), dlr_loss(logits, goal), atol=1e-4)
    away = Goal(classes=classes)
    before, after = targeted_dlr_loss(targets, logits, away), targeted_dlr_loss(targets, changed, away)
    assert torch.allclose(after, before, atol=1e-4)
    assert not torch.allclose(cross_entropy_loss(changed, goal), cross_entropy_loss(logits, goal), atol=1.0)


def test_a_confident_network_still_has_a_gradient() -> None:
    logits = torch.tensor([[400.0, 100.0, 0.0, -100.0]], requires_grad=True)
    goal = Goal(classes=torch.tensor([0]))
    (flat,) = torch.autograd.grad(cross_entropy_loss(logits, goal).sum(), logits)
    assert not bool(flat.any())  # exp(-300) is zero in float32
    # (z_2 - z_1) / (z_1 - z_3) by z_1, z_2 and z_3: -1 / 400 + 300 / 400^2, 1 / 400 and -300 / 400^2
    (steep,) = torch.autograd.grad(dlr_loss(logits, goal).sum(), logits)
    assert torch.allclose(steep, torch.tensor([[-0.000625, 0.0025, -0.001875, 0.0]]), atol=1e-8)


def test_ties_of_the_largest_logits_stay_finite() -> None:
    logits = torch.zeros(1, 5, requires_grad=True)
    loss = dlr_loss(logits, Goal(classes=torch.tensor([0])))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.item() == 0
    assert bool(torch.isfinite(gradient).all())


def test_too_few_classes_are_refused_by_name() -> None:
    goal, classes = Goal(classes=torch.tensor([0])), torch.tensor([1])
    with pytest.raises(RequestError, match=r"the DLR loss needs 3 classes, the model knows 2; take apgd-ce"):
        dlr_loss(torch.zeros(1, 2), goal)
    with pytest.raises(RequestError, match=r"the targeted DLR loss needs 4 classes, the model knows 3"):
        dlr_loss(torch.zeros(1, 3), Goal(classes=classes, targeted=True))
    with pytest.raises(RequestError, match=r"needs 4 classes, the model knows 3"):
        targeted_dlr_loss(classes, torch.zeros(1, 3), goal)
    assert dlr_loss(torch.zeros(1, 3), goal).shape == (1,)
