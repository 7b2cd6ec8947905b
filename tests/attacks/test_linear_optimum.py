"""Attacks against a linear model, whose smallest perturbations have a closed form.

For logits W x + b the margin of class y over j falls by ||w_y - w_j||_1 for each unit of L-infinity distance and by
||w_y - w_j||_2 for each unit of L2 distance (Hölder's inequality, met with equality), as long as no pixel leaves
the box. Hence the smallest L-infinity and L2 distances are margin / ||w_y - w_j||_1 and
(margin + kappa) / ||w_y - w_j||_2, least over j.
"""

import pytest
import torch
from small_models import draws_for, linear_model, random_images
from torch import Tensor, nn

from attacks.contract import craft
from attacks.cw import CW, CwConfig
from attacks.fgsm import FGSM, FgsmConfig
from attacks.goal import Goal
from attacks.pgd import PGD, PgdConfig


def _margins_and_differences(model: nn.Sequential, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """(n, k) margins over every other class, inf for the class itself; (n, k, pixels) weight differences."""
    with torch.no_grad():
        logits = model(images)
        margins = logits.gather(1, classes[:, None]) - logits
        margins = margins.scatter(1, classes[:, None], torch.inf)
        weight = model[1].weight
        return margins, weight[classes][:, None] - weight[None]


def _linf_optimum(model: nn.Sequential, images: Tensor, classes: Tensor) -> Tensor:
    margins, differences = _margins_and_differences(model, images, classes)
    return (margins / differences.abs().sum(dim=2)).amin(dim=1)


def _l2_optimum(model: nn.Sequential, images: Tensor, classes: Tensor, confidence: float) -> Tensor:
    margins, differences = _margins_and_differences(model, images, classes)
    lengths = differences.norm(dim=2)
    distances = (margins + confidence) / lengths
    nearest = distances.argmin(dim=1)
    assert torch.equal(nearest, margins.argmin(dim=1))  # else C&W's loss has several minima
    rows = torch.arange(len(images))
    steps = distances[rows, nearest]
    optimum = images.flatten(1) - (steps / lengths[rows, nearest])[:, None] * differences[rows, nearest]
    assert float(optimum.min()) > 0
    assert float(optimum.max()) < 1  # the box plays no part
    return steps


def _gray(model: nn.Sequential, count: int, reach: float = 0.15) -> tuple[Tensor, Tensor]:
    """Images away from the box's walls, and the classes predicted for them."""
    images = random_images(count, low=0.5 - reach, high=0.5 + reach, seed=1)
    with torch.no_grad():
        return images, model(images).argmax(dim=1)


@pytest.mark.parametrize("factor", [0.99, 1.01])
@pytest.mark.parametrize("targeted", [False, True])
def test_fgsm_and_pgd_flip_two_classes_exactly_from_the_optimum_on(factor: float, targeted: bool) -> None:
    model = linear_model(2)
    images, predicted = _gray(model, 6)
    goal = Goal(classes=1 - predicted, targeted=True) if targeted else Goal(classes=predicted)
    for index, optimum in enumerate(_linf_optimum(model, images, predicted).tolist()):
        assert factor * optimum < 0.35
        epsilon, one = factor * optimum, slice(index, index + 1)
        arguments = (model, images[one], goal.select(torch.tensor([index])))
        stepped = craft(FGSM, *arguments, FgsmConfig(epsilon=epsilon), draws_for(1))
        # 9 steps of a quarter of epsilon cross the whole ball from wherever they start
        config = PgdConfig(epsilon=epsilon, step_size=epsilon / 4, steps=9)
        climbed = craft(PGD, *arguments, config, draws_for(1))
        assert stepped.success.item() is climbed.success.item() is (factor > 1)
        # both stand in the ball's corner, where the margin is (factor - 1) times the clean one
        assert torch.allclose(stepped.images, climbed.images, atol=1e-6)


def test_pgd_finds_the_nearest_of_four_classes() -> None:
    model = linear_model(4)
    model[1].weight.data[2:] *= 0.01  # two classes that are never near the decision
    model[1].bias.data[2:] = -10
    images, predicted = _gray(model, 5)
    for index, optimum in enumerate(_linf_optimum(model, images, predicted).tolist()):
        one = slice(index, index + 1)
        for factor in (0.98, 1.02):
            epsilon = factor * optimum
            config = PgdConfig(epsilon=epsilon, step_size=epsilon / 4, steps=9)
            goal = Goal(classes=predicted[one])
            crafted = craft(PGD, model, images[one], goal, config, draws_for(1))
            assert crafted.success.item() is (factor > 1)


def _clear(model: nn.Sequential, count: int) -> tuple[Tensor, Tensor]:
    """Such images whose class is not at the verge of flipping and whose second class stands alone."""
    images, predicted = _gray(model, 400, reach=0.25)
    margins = _margins_and_differences(model, images, predicted)[0].sort(dim=1).values
    clear = (margins[:, 0] > 0.3) & (margins[:, 1] - margins[:, 0] > 0.3)
    assert int(clear.sum()) >= count
    return images[clear][:count], predicted[clear][:count]


@pytest.mark.parametrize(("classes", "confidence"), [(2, 0.0), (2, 1.0), (4, 0.0), (4, 1.0)])
def test_cw_comes_within_two_percent_of_the_optimum(classes: int, confidence: float) -> None:
    model = linear_model(classes, seed=3)
    images, predicted = _clear(model, 5)
    optimum = _l2_optimum(model, images, predicted, confidence)
    crafted = craft(CW, model, images, Goal(classes=predicted), _exact_cw(confidence), draws_for(5))
    assert crafted.success.all()
    assert torch.allclose(crafted.l2, optimum, rtol=0.02)
    assert bool((crafted.l2 >= optimum * 0.9999).all())  # nothing is nearer


def test_targeted_cw_comes_within_two_percent_of_the_optimum() -> None:
    model = linear_model(2, seed=3)  # with two classes the target is the way out
    images, predicted = _clear(model, 5)
    goal = Goal(classes=1 - predicted, targeted=True)
    crafted = craft(CW, model, images, goal, _exact_cw(0.5), draws_for(5))
    assert torch.allclose(crafted.l2, _l2_optimum(model, images, predicted, 0.5), rtol=0.02)


def _exact_cw(confidence: float) -> CwConfig:
    return CwConfig(confidence=confidence, search_steps=6, steps=200, learning_rate=0.02)
