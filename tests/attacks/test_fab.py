"""FAB: the distance it finds, what it keeps, and when it ends.

A linear model's nearest boundary is known: by a closed form where no pixel meets a wall of the box (see
`test_linear_optimum.py`), by a linear program where some do. Success within epsilon is compared with torchattacks.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from digits_network import digits_network, recognized
from scipy.optimize import linprog
from small_models import Recorder, draws_for, linear_model, random_images, small_network
from torch import Tensor, nn

from attacks.contract import CraftedBatch, craft
from attacks.draws import Draws
from attacks.errors import RequestError
from attacks.fab import FAB, FabConfig
from attacks.goal import Goal, Logits

SHORT = FabConfig(epsilon=1.0, steps=20)


def _fab(model: Logits, images: Tensor, goal: Goal, config: FabConfig) -> CraftedBatch:
    return craft(FAB, model, images, goal, config, draws_for(len(images)))


def _predicted(model: nn.Sequential, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(dim=1)


def _least_distance(model: nn.Sequential, image: Tensor, over: int, other: int | list[int]) -> float:
    """Least L-infinity distance in the box at which class `other` stands level with class `over`.

    Where `over` is a list of classes, `other` must stand level with or above each: min t, |x' - x| <= t, 0 <= x' <= 1.
    """
    weight, bias = (part.detach().double().numpy() for part in (model[1].weight, model[1].bias))
    pixels = image.flatten().double().numpy()
    beaten = np.atleast_1d(over)
    shortfall = np.c_[weight[beaten] - weight[other], np.zeros(len(beaten))]
    around = np.vstack([np.c_[sign * np.eye(len(pixels)), -np.ones(len(pixels))] for sign in (1, -1)])
    solution = linprog(
        c=np.r_[np.zeros(len(pixels)), 1],
        A_ub=np.vstack([around, shortfall]),
        b_ub=np.r_[pixels, -pixels, bias[other] - bias[beaten]],
        bounds=[*[(0, 1)] * len(pixels), (0, None)],
    )
    assert solution.status == 0
    return float(solution.fun)


def _without_walls(model: nn.Sequential, images: Tensor, own: Tensor) -> Tensor:
    """(n, classes) margin / ||w_own - w_other||_1, the least distances were there no box; inf for the class itself."""
    with torch.no_grad():
        logits = model(images)
        slopes = (model[1].weight[own][:, None] - model[1].weight[None]).abs().sum(dim=2)
        return ((logits.gather(1, own[:, None]) - logits) / slopes).scatter(1, own[:, None], torch.inf)


@pytest.mark.parametrize("classes", [2, 4])
def test_within_two_percent_of_the_closed_form(classes: int) -> None:
    model = linear_model(classes)
    images = random_images(8, low=0.35, high=0.65, seed=1)
    predicted = _predicted(model, images)
    optimum = _without_walls(model, images, predicted).amin(dim=1)
    assert float(optimum.max()) < 0.35  # the box plays no part
    crafted = _fab(model, images, Goal(classes=predicted), SHORT)
    assert bool(crafted.success.all())
    assert torch.allclose(crafted.linf, optimum, rtol=0.02)
    assert bool((crafted.linf >= optimum * 0.999).all())  # nothing is nearer, but for rounding


def test_within_two_percent_of_the_linear_program_where_pixels_meet_the_walls() -> None:
    model, images = linear_model(3), _half_at_the_walls(8)
    predicted = _predicted(model, images)
    least = [
        min(_least_distance(model, image, own, other) for other in range(3) if other != own)
        for image, own in zip(images, predicted.tolist(), strict=True)
    ]
    assert bool((torch.tensor(least) > 1.2 * _without_walls(model, images, predicted).amin(dim=1)).all())
    crafted = _fab(model, images, Goal(classes=predicted), replace(SHORT, steps=60))
    assert bool(crafted.success.all())
    assert torch.allclose(crafted.linf, torch.tensor(least), rtol=0.02)
    assert bool((crafted.linf >= torch.tensor(least) * 0.999).all())


def test_a_target_is_reached_near_the_linear_program() -> None:
    model, images = linear_model(4), _half_at_the_walls(8, seed=3)
    target = (_predicted(model, images) + 1) % 4
    crafted = _fab(model, images, Goal(classes=target, targeted=True), replace(SHORT, steps=60))
    assert torch.equal(_predicted(model, crafted.images), target)
    least, one_boundary = [], []
    for image, wanted in zip(images, target.tolist(), strict=True):
        others = [other for other in range(4) if other != wanted]
        least.append(_least_distance(model, image, others, wanted))
        one_boundary.append(least[-1] < 1.001 * max(_least_distance(model, image, other, wanted) for other in others))
    excess = crafted.linf / torch.tensor(least)
    assert bool((excess > 0.999).all())
    assert sum(one_boundary) >= 4
    assert bool((excess[torch.tensor(one_boundary)] < 1.02).all())
    assert bool((excess < 1.2).all())  # in a corner of several boundaries, steps onto one of them miss the optimum


def _half_at_the_walls(count: int, seed: int = 2) -> Tensor:
    images = random_images(count, seed=seed)
    return torch.where(images < 0.3, 0.0, torch.where(images > 0.7, 1.0, images))


def test_the_nearest_boundary_need_not_be_the_likeliest_class_s() -> None:
    # Logits 0, -1 and -2 at the gray image; the boundary to class 1 is 1 / (64 * 0.1) = 0.156 away, the one to class 2,
    # which is twice as unlikely but rises 4 times as fast, 2 / (64 * 0.4) = 0.078.
    model = linear_model(3)
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([0.0, 0.1, 0.4])[:, None].expand(3, 64))
        model[1].bias.copy_(torch.tensor([0.0, -1.0, -2.0]) - 0.5 * model[1].weight.sum(dim=1))
    images, goal = torch.full((1, 1, 8, 8), 0.5), Goal(classes=torch.tensor([0]))
    for targets, distance in ((1, 1 / 6.4), (2, 2 / 25.6), (9, 2 / 25.6)):
        crafted = _fab(model, images, goal, replace(SHORT, targets=targets))
        assert crafted.linf.item() == pytest.approx(distance, rel=0.02)


def test_every_look_is_in_the_box_and_the_result_in_the_ball(
    network: nn.Sequential, goal: Goal, images: Tensor
) -> None:
    recorder = Recorder(network)
    crafted = _fab(recorder, images, goal, FabConfig(epsilon=0.03, steps=10))
    for seen in recorder.seen:
        assert float(seen.min()) >= 0
        assert float(seen.max()) <= 1
    assert max(float((seen - images).abs().max()) for seen in recorder.seen) > 0.06  # it does look farther
    assert bool((crafted.images <= (images + 0.03)).all())
    assert bool((crafted.images >= (images - 0.03)).all())


def test_beyond_epsilon_nothing_counts_and_the_clean_image_comes_back(
    network: nn.Sequential, goal: Goal, images: Tensor
) -> None:
    far = _fab(network, images, goal, SHORT)
    assert bool(far.success.all())
    epsilon = float(far.linf.sort().values[6:8].mean())  # between the 7th and the 8th of 14
    near = _fab(network, images, goal, replace(SHORT, epsilon=epsilon))
    assert torch.equal(near.success, far.linf <= epsilon)
    assert int(near.success.sum()) == 7
    assert torch.equal(near.images[~near.success], images[~near.success])
    assert torch.allclose(near.images[near.success], far.images[near.success], atol=1e-5)


def test_an_image_leaves_at_its_first_success_or_looks_for_nearer_ones(
    network: nn.Sequential, goal: Goal, images: Tensor
) -> None:
    first = _fab(network, images, goal, replace(SHORT, until="success"))
    nearest = _fab(network, images, goal, SHORT)
    assert torch.equal(first.success, nearest.success)
    assert bool((nearest.linf <= first.linf).all())
    assert bool((nearest.linf < 0.95 * first.linf).any())
    assert nearest.passes == 14 * (1 + 4 * 20 * 2)  # the clean look; 4 wrong classes, 20 steps of 2 looks
    assert first.passes < nearest.passes / 4


@pytest.mark.parametrize("until", ["success", "end"])
def test_an_image_misclassified_from_the_start_is_its_own_nearest(
    network: nn.Sequential, goal: Goal, images: Tensor, until: str
) -> None:
    wrong = Goal(classes=(goal.classes + 1) % 5)
    crafted = _fab(network, images, wrong, replace(SHORT, until=until))
    assert bool(crafted.success.all())
    assert torch.equal(crafted.images, images)
    assert crafted.passes == 14  # the clean look; nothing is nearer


def test_results_follow_the_image_not_its_place(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    ids = torch.arange(100, 114)
    config = FabConfig(epsilon=0.3, steps=5, targets=2, restarts=2)

    def run(part: Tensor) -> CraftedBatch:
        draws = Draws(seed=3, sample_ids=ids[part])
        return craft(FAB, network, images[part], goal.select(part), config, draws)

    whole = run(torch.arange(14))
    for size in (1, 7):
        parts = [run(part) for part in torch.arange(14).split(size)]
        assert torch.allclose(torch.cat([part.images for part in parts]), whole.images, atol=1e-4)
    order = torch.randperm(14, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(run(order).images, whole.images[order], atol=1e-4)


def test_restarts_begin_within_half_of_what_was_found(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    recorder = Recorder(network)
    config = FabConfig(epsilon=0.3, steps=1, targets=1, restarts=3)
    first = _fab(network, images, goal, replace(config, restarts=1))
    _fab(recorder, images, goal, config)
    # looks: `craft`'s own, the clean one, and two for each restart, of which the first is its start
    second, third = (recorder.seen[look] - images for look in (4, 6))
    reach = torch.where(first.success, first.linf, 0.3) / 2
    assert bool((second.flatten(1).abs().amax(dim=1) <= reach + 1e-6).all())
    assert bool((second.flatten(1).abs().amax(dim=1) > 0.8 * reach).all())  # the largest of 64 uniform numbers
    agreement = (second.sign() == third.sign()).float().mean()
    assert float(agreement) == pytest.approx(0.5, abs=0.1)  # of 896 tosses of a coin


def test_a_step_is_drawn_towards_the_clean_image() -> None:
    # With a linear model and no walls, the nearest point on the boundary lies margin / ||w||_1 away from x, in every
    # pixel. Algorithm 1 goes 1.05 times as far, from x and from the clean image, and takes the mean with weight alpha.
    model = linear_model(2, seed=3)
    images = random_images(12, low=0.35, high=0.65, seed=1)
    predicted = _predicted(model, images)
    recorder = Recorder(model)
    _fab(recorder, images, Goal(classes=predicted), FabConfig(epsilon=0.3, steps=1, restarts=2))
    start, end = recorder.seen[4:6]
    difference = model[1].weight.detach()[1 - predicted] - model[1].weight.detach()[predicted]
    lengths = [
        -Goal(classes=predicted).margin(model(origin).detach()) / difference.abs().sum(dim=1)
        for origin in (start, images)
    ]
    assert bool((torch.stack(lengths) > 0).all())
    alpha = lengths[0] / (lengths[0] + lengths[1])
    assert bool((alpha > 0.1).any())
    towards_boundary = difference.sign().view_as(images)
    reached = [
        origin + 1.05 * length[:, None, None, None] * towards_boundary
        for origin, length in zip((start, images), lengths, strict=True)
    ]
    weight = alpha.clamp(max=0.1)[:, None, None, None]
    assert torch.allclose(end, (1 - weight) * reached[0] + weight * reached[1], atol=1e-5)


def test_restarts_find_what_the_first_walk_missed(images: Tensor) -> None:
    network = small_network()
    with torch.no_grad():
        for parameter in network[1].parameters():
            parameter.mul_(6)  # so curved that one step from the clean image often falls short
    goal = Goal(classes=_predicted(network, images))
    once, often = (
        _fab(network, images, goal, FabConfig(epsilon=0.3, steps=1, targets=2, restarts=restarts))
        for restarts in (1, 4)
    )
    assert bool((often.success >= once.success).all())
    assert int(often.success.sum()) > int(once.success.sum())


def test_what_is_kept_is_more_than_rounding(network: nn.Sequential) -> None:
    # float32 sums differ by some 1e-6 of the largest logit between batch shapes; among the points nearest to the
    # boundary a few of 300 have less margin than ten times that
    images = random_images(300)
    crafted = _fab(network, images, Goal(classes=_predicted(network, images)), replace(SHORT, targets=4))
    with torch.no_grad():
        largest = network(crafted.images).abs().amax(dim=1)
    assert bool(crafted.success.all())
    assert bool((crafted.margin > 0.9e-5 * largest).all())


def test_the_scale_of_the_logits_does_not_matter(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    crafted = _fab(network, images, goal, SHORT)
    tiny = _fab(lambda batch: 2.0**-20 * network(batch), images, goal, SHORT)  # a power of two rounds nothing
    assert torch.allclose(tiny.images, crafted.images, atol=1e-6)


def test_a_model_without_gradients_leaves_the_clean_image(network: nn.Sequential, images: Tensor) -> None:
    goal = Goal(classes=_predicted(network, images.round()))
    crafted = _fab(lambda batch: network(batch.round()), images, goal, SHORT)  # the gradient of rounding is 0
    assert bool(crafted.vanished.all())
    assert torch.equal(crafted.images, images)


@pytest.mark.parametrize("name", ["epsilon", "steps", "targets", "restarts"])
def test_every_budget_is_above_zero(name: str) -> None:
    with pytest.raises(RequestError, match=name):
        FabConfig(**({"epsilon": 0.1} | {name: 0}))


def test_an_empty_batch_comes_back_empty(network: nn.Sequential) -> None:
    goal = Goal(classes=torch.zeros(0, dtype=torch.int64))
    assert _fab(network, random_images(1)[:0], goal, SHORT).images.shape == (0, 1, 8, 8)


def test_as_successful_and_as_near_as_torchattacks() -> None:
    torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is in the extra 'backends'")
    network = digits_network()
    images, labels = recognized(network, 40)
    ours = _fab(network, images, Goal(classes=labels), FabConfig(epsilon=0.1, steps=10))
    peer = torchattacks.FAB(network, eps=0.1, steps=10, multi_targeted=True, n_classes=10)
    theirs = peer(images, labels).detach()
    distance = (theirs - images).flatten(1).abs().amax(dim=1)
    success = (_predicted(network, theirs) != labels) & (distance <= 0.1)
    assert 10 <= int(success.sum()) <= 30
    assert torch.equal(ours.success, success)
    # theirs ends with the first class that succeeds within epsilon, ours goes for all of them
    assert bool((ours.linf[success] <= 1.01 * distance[success]).all())
