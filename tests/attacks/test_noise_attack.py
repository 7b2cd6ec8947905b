"""Noise: its distribution, its bounds, and the draw it keeps. Moments are those of the distributions named."""

import pytest
import torch
from small_models import draws_for, random_images
from torch import Tensor, nn

from attacks.apgd import APGD_CE, ApgdConfig
from attacks.contract import craft
from attacks.errors import RequestError
from attacks.goal import Goal
from attacks.noise import NOISE, NoiseConfig

GRAY = torch.full((40, 1, 8, 8), 0.5)  # far from the walls of the box
NOWHERE = Goal(classes=torch.zeros(40, dtype=torch.int64))


def _noise(network: nn.Sequential, kind: str, seed: int = 0) -> Tensor:
    config = NoiseConfig(epsilon=0.1, noise=kind)
    return craft(NOISE, network, GRAY, NOWHERE, config, draws_for(40, seed)).images - GRAY


def test_uniform_noise_fills_the_ball(network: nn.Sequential) -> None:
    noise = _noise(network, "uniform")
    # uniform on (-0.1, 0.1): standard deviation 0.1 / sqrt(3) = 0.0577; 2560 draws, so within five standard errors
    assert abs(float(noise.mean())) < 5 * 0.0577 / 2560**0.5
    assert float(noise.std()) == pytest.approx(0.0577, abs=0.003)
    assert 0.099 < float(noise.abs().max()) <= 0.1 + 1e-6
    assert float((noise.abs() < 0.05).float().mean()) == pytest.approx(0.5, abs=0.05)  # half of it within half the ball


def test_gaussian_noise_is_cut_at_two_standard_deviations(network: nn.Sequential) -> None:
    noise = _noise(network, "gaussian")
    # a normal with deviation 0.05: 68.3 % within one deviation, 4.55 % beyond two, which lie on the wall
    assert abs(float(noise.mean())) < 5 * 0.05 / 2560**0.5
    assert float((noise.abs() < 0.05).float().mean()) == pytest.approx(0.683, abs=0.05)
    assert float((noise.abs() > 0.1 - 1e-6).float().mean()) == pytest.approx(0.0455, abs=0.02)
    assert float(noise.abs().max()) <= 0.1 + 1e-6


@pytest.mark.parametrize("kind", ["uniform", "gaussian"])
def test_noise_differs_by_image_and_seed_and_repeats_itself(network: nn.Sequential, kind: str) -> None:
    noise = _noise(network, kind)
    assert len(noise.flatten(1).unique(dim=0)) == 40
    assert torch.equal(noise, _noise(network, kind))
    assert not torch.equal(noise, _noise(network, kind, seed=1))


@pytest.mark.parametrize("kind", ["uniform", "gaussian"])
def test_noise_stays_in_the_box_and_follows_the_image_not_its_place(
    network: nn.Sequential, goal: Goal, images: Tensor, kind: str
) -> None:
    corners = torch.where(images < 0.5, 0.0, 1.0)
    config, draws = NoiseConfig(epsilon=0.3, noise=kind, restarts=3), draws_for(14)
    whole = craft(NOISE, network, corners, goal, config, draws).images
    assert float(whole.min()) >= 0
    assert float(whole.max()) <= 1
    for size in (1, 7):
        parts = [
            craft(NOISE, network, corners[part], goal.select(part), config, draws.select(part)).images
            for part in torch.arange(14).split(size)
        ]
        assert torch.allclose(torch.cat(parts), whole, atol=1e-6)


def test_the_worst_draw_is_kept(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    draws = draws_for(14)
    margins = []
    for restart in range(6):  # the same draws by hand
        uniform = draws.uniform("noise", (1, 8, 8), round_=restart)
        with torch.no_grad():
            margins.append(goal.margin(network((images + 0.3 * (2 * uniform - 1)).clamp(0, 1))))
    assert len(torch.stack(margins).argmax(dim=0).unique()) > 2  # no draw is everyone's worst
    for restarts in (1, 6):
        crafted = craft(NOISE, network, images, goal, NoiseConfig(epsilon=0.3, restarts=restarts), draws)
        assert torch.allclose(crafted.margin, torch.stack(margins[:restarts]).amax(dim=0), atol=1e-5)
        assert crafted.passes == 14 * restarts


def test_noise_is_far_weaker_than_an_attack(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    noisy = craft(NOISE, network, images, goal, NoiseConfig(epsilon=0.1), draws_for(14))
    attacked = craft(APGD_CE, network, images, goal, ApgdConfig(epsilon=0.1, steps=10), draws_for(14))
    assert bool((attacked.margin > noisy.margin).all())


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(RequestError, match="did you mean 'gaussian'"):
        NoiseConfig(epsilon=0.1, noise="gausian")
    with pytest.raises(RequestError, match="epsilon"):
        NoiseConfig(epsilon=0.0)
    with pytest.raises(RequestError, match="restarts"):
        NoiseConfig(epsilon=0.1, restarts=0)


def test_an_empty_batch_comes_back_empty(network: nn.Sequential) -> None:
    goal = Goal(classes=torch.zeros(0, dtype=torch.int64))
    crafted = craft(NOISE, network, random_images(1)[:0], goal, NoiseConfig(epsilon=0.1), draws_for(0))
    assert crafted.images.shape == (0, 1, 8, 8)
