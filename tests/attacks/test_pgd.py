"""PGD: its ball, its restarts, the iterate it keeps, and where its random starts come from.

Bounds are the attack's definition; the kept iterate is compared with iterates computed by hand in NumPy.
"""

import numpy as np
import torch
from small_models import Recorder, draws_for, probe_for, random_images
from torch import Tensor, nn

from attacks.contract import craft
from attacks.draws import Draws
from attacks.goal import Goal
from attacks.pgd import PGD, PgdConfig, last_iterate, pgd

CONFIG = PgdConfig(epsilon=0.1, step_size=0.04, steps=5)


def test_every_pixel_stays_in_the_ball_and_in_the_box(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    recorder = Recorder(network)
    corners = torch.where(images < 0.3, 0.0, torch.where(images > 0.7, 1.0, images))  # walls of the box matter
    crafted = pgd(probe_for(recorder, goal), corners, CONFIG, draws_for(14))
    for iterate in [*recorder.seen, crafted]:
        assert float((iterate - corners).abs().max()) <= 0.1 + 1e-6
        assert float(iterate.min()) >= 0
        assert float(iterate.max()) <= 1
    assert float((recorder.seen[-1] - corners).abs().max()) > 0.099  # five steps of 0.04 do reach the wall


def test_restarts_never_make_an_image_better_off(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    config = {"epsilon": 0.3, "step_size": 0.02, "steps": 2}  # too few steps to forget the start
    margins = torch.stack(
        [
            craft(PGD, network, images, goal, PgdConfig(**config, restarts=restarts), draws_for(14)).margin
            for restarts in (1, 2, 4, 8)
        ]
    )
    assert bool((margins[1:] >= margins[:-1] - 1e-6).all())
    assert bool((margins[-1] > margins[0] + 0.01).any())


def test_the_worst_iterate_is_kept_and_training_takes_the_last() -> None:
    # One pixel, success margin 1 - 40 (x - 0.5)^2: steps of 0.3 overshoot the peak and swing around it.
    def margin(pixel: np.ndarray | Tensor) -> np.ndarray | Tensor:
        return 1 - 40 * (pixel - 0.5) ** 2

    def model(images: Tensor) -> Tensor:
        pixel = images.flatten(1)
        return torch.cat([torch.zeros_like(pixel), margin(pixel)], dim=1)

    count, steps = 12, 6
    draws = draws_for(count, seed=1)
    iterates = [draws.uniform("pgd", (1, 1, 1)).flatten().numpy().astype(np.float64)]  # epsilon 0.5 about 0.5
    for _ in range(steps):
        uphill = np.sign(0.5 - iterates[-1])
        iterates.append(np.clip(iterates[-1] + 0.3 * uphill, 0, 1))
    values = margin(np.stack(iterates))  # (steps + 1, count)
    assert (values.max(axis=0) > values[-1] + 0.1).any()  # the last is not always the worst

    images, goal = torch.full((count, 1, 1, 1), 0.5), Goal(classes=torch.zeros(count, dtype=torch.int64))
    config = PgdConfig(epsilon=0.5, step_size=0.3, steps=steps)
    crafted = craft(PGD, model, images, goal, config, draws)
    np.testing.assert_allclose(crafted.margin.numpy(), values.max(axis=0), atol=1e-4)
    last = last_iterate(probe_for(model, goal), images, config, draws)
    np.testing.assert_allclose(last.flatten().numpy(), iterates[-1], atol=1e-5)


def test_starts_are_spread_over_the_ball_and_differ_by_image_and_seed(network: nn.Sequential) -> None:
    images = torch.full((20, 1, 8, 8), 0.5)
    goal = Goal(classes=torch.zeros(20, dtype=torch.int64))

    def starts(seed: int) -> Tensor:
        recorder = Recorder(network)
        pgd(probe_for(recorder, goal), images, CONFIG, draws_for(20, seed))
        return recorder.seen[0] - images

    first = starts(0)
    # uniform on (-0.1, 0.1): standard deviation 0.1 / sqrt(3); 1280 draws, so within five standard errors
    assert abs(float(first.mean())) < 5 * 0.0577 / 1280**0.5
    assert abs(float(first.std()) - 0.0577) < 0.005
    assert len(first.flatten(1).unique(dim=0)) == 20
    assert torch.equal(first, starts(0))
    assert not torch.equal(first, starts(1))


def test_results_follow_the_image_not_its_place(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    ids = torch.arange(100, 114)
    config = PgdConfig(epsilon=0.1, step_size=0.02, steps=3, restarts=2)

    def run(part: Tensor) -> Tensor:
        draws = Draws(seed=3, sample_ids=ids[part])
        return craft(PGD, network, images[part], goal.select(part), config, draws).images

    whole = run(torch.arange(14))
    order = torch.randperm(14, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(run(order), whole[order], atol=1e-6)
    assert torch.allclose(torch.cat([run(part) for part in torch.arange(14).split(5)]), whole, atol=1e-6)


def test_targeted_images_reach_the_target(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    target = (goal.classes + 2) % 5
    config = PgdConfig(epsilon=0.3, step_size=0.05, steps=15)
    crafted = craft(PGD, network, images, Goal(classes=target, targeted=True), config, draws_for(14))
    with torch.no_grad():
        assert torch.equal(crafted.success, network(crafted.images).argmax(dim=1) == target)
    assert int(crafted.success.sum()) >= 12
    clean = craft(PGD, network, images, goal, config, draws_for(14))
    assert not torch.allclose(clean.images, crafted.images, atol=0.1)  # away from a class is another goal


def test_an_empty_batch_comes_back_empty(network: nn.Sequential) -> None:
    goal = Goal(classes=torch.zeros(0, dtype=torch.int64))
    crafted = craft(PGD, network, random_images(1)[:0], goal, CONFIG, draws_for(0))
    assert crafted.images.shape == (0, 1, 8, 8)
    assert crafted.success.shape == (0,)
