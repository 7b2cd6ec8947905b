"""Carlini & Wagner's attack beyond the linear optimum.

Success, distances and bounds are computed here from the images that came back; the only closed form is that of
images whose pixels are all 0 or 1: pixels whose gradient points out of the box cannot move, so the smallest L2
distance is margin / ||inward part of the weight difference||_2 while no pixel crosses the box.
"""

from dataclasses import replace

import pytest
import torch
from small_models import draws_for, linear_model, random_images
from torch import Tensor, nn

from attacks.contract import CraftedBatch, craft
from attacks.cw import CW, CwConfig
from attacks.goal import Goal

QUICK = CwConfig(confidence=1.0, search_steps=3, steps=60)


def _cw(network: nn.Module, images: Tensor, goal: Goal, config: CwConfig) -> CraftedBatch:
    return craft(CW, network, images, goal, config, draws_for(len(images)))


def _margin(network: nn.Module, images: Tensor, goal: Goal) -> Tensor:
    """Largest other logit minus the class's own; the negative of it when targeted."""
    with torch.no_grad():
        logits = network(images)
    own = torch.stack([row[index] for row, index in zip(logits, goal.classes.tolist(), strict=True)])
    pairs = zip(logits, goal.classes.tolist(), strict=True)
    other = torch.stack([torch.cat([row[:index], row[index + 1 :]]).max() for row, index in pairs])
    return own - other if goal.targeted else other - own


@pytest.mark.parametrize("targeted", [False, True])
def test_success_means_the_confidence_is_reached(
    network: nn.Sequential, images: Tensor, goal: Goal, targeted: bool
) -> None:
    wanted = Goal(classes=(goal.classes + 1) % 5, targeted=True) if targeted else goal
    crafted = _cw(network, images, wanted, QUICK)
    assert crafted.success.all()
    margin = _margin(network, crafted.images, wanted)
    assert bool((margin >= 1.0).all())
    assert torch.allclose(crafted.margin, margin, atol=1e-5)
    assert torch.allclose(crafted.l2, (crafted.images - images).flatten(1).square().sum(dim=1).sqrt(), atol=1e-6)
    assert float(crafted.images.min()) >= 0
    assert float(crafted.images.max()) <= 1
    assert float(crafted.l2.max()) < 3  # random images lie sqrt(64 / 6) = 3.3 apart on average


def test_a_confidence_out_of_reach_gives_the_clean_images_back_marked(
    network: nn.Sequential, images: Tensor, goal: Goal
) -> None:
    # tanh keeps every hidden unit in [-1, 1]: no margin can pass twice the largest row of absolute weights
    last = network[3].requires_grad_(False)
    bound = 2 * float(last.weight.abs().sum(dim=1).max() + last.bias.abs().max())
    crafted = _cw(network, images, goal, replace(QUICK, confidence=bound + 1))
    assert not crafted.success.any()
    assert torch.equal(crafted.images, images)
    assert torch.equal(crafted.l2, torch.zeros(len(images)))


def test_max_l2_drops_exactly_those_beyond_it(network: nn.Sequential, images: Tensor, goal: Goal) -> None:
    free = _cw(network, images, goal, QUICK)
    limit = float(free.l2.median()) + 1e-6
    near = free.l2 <= limit
    assert 0 < int(near.sum()) < len(images)
    limited = _cw(network, images, goal, replace(QUICK, max_l2=limit))
    assert torch.equal(limited.success, near)
    assert torch.equal(limited.images[near], free.images[near])
    assert torch.equal(limited.images[~near], images[~near])


@pytest.mark.parametrize("size", [1, 7])
def test_results_do_not_depend_on_the_batch_size(network: nn.Sequential, images: Tensor, goal: Goal, size: int) -> None:
    config = replace(QUICK, steps=40, confidence=2.5)
    whole = _cw(network, images, goal, config)
    indices = torch.arange(len(images)).split(size)
    parts = [_cw(network, images[part], goal.select(part), config) for part in indices]
    assert torch.equal(torch.cat([part.success for part in parts]), whole.success)
    assert torch.allclose(torch.cat([part.l2 for part in parts]), whole.l2, rtol=1e-3)


def test_more_search_steps_never_give_a_larger_distance(network: nn.Sequential, images: Tensor, goal: Goal) -> None:
    runs = [_cw(network, images, goal, replace(QUICK, search_steps=count, initial_c=0.01)) for count in range(1, 6)]
    distances = torch.stack([torch.where(run.success, run.l2, torch.inf) for run in runs])
    assert bool((distances[1:] <= distances[:-1]).all())
    assert bool(distances[0].isinf().all())  # c = 0.01 is too small for the loss to care,
    assert bool(distances[-1].isfinite().all())  # so it was raised,
    assert bool((distances[-1] < distances[2]).any())  # and then bisected


def test_black_and_white_pixels_are_moved_to_the_optimum() -> None:
    model = linear_model(2, seed=4)
    images = random_images(40, seed=5).round()
    with torch.no_grad():
        logits = model(images)
    predicted = logits.argmax(dim=1)
    margin = logits.amax(dim=1) - logits.amin(dim=1)
    small = (margin > 0.3) & (margin < 2)
    images, predicted, margin = images[small][:5], predicted[small][:5], margin[small][:5]
    assert len(images) == 5
    weight = model[1].weight.detach()
    downhill = weight[1 - predicted] - weight[predicted]  # (n, pixels), raises the other class
    is_inward = torch.where(images.flatten(1) == 0, downhill > 0, downhill < 0)
    inward = torch.where(is_inward, downhill, 0.0)
    optimum = margin / inward.norm(dim=1)
    assert float((optimum / inward.norm(dim=1) * inward.abs().amax(dim=1)).max()) < 1  # no pixel crosses the box

    config = CwConfig(search_steps=6, steps=200)
    crafted = _cw(model, images, Goal(classes=predicted), config)
    assert crafted.success.all()
    assert torch.allclose(crafted.l2, optimum, rtol=0.05)
    assert bool((crafted.l2 >= 0.9999 * optimum).all())
