"""Noise of the attack's size: the mean L2 is measured here with NumPy, after clipping."""

import numpy as np
import pytest
import torch
from torch import Tensor

from attacks.draws import Draws
from bench.noise import add_noise

IDS = torch.tensor([3, 14, 15, 92, 65, 35])
IMAGES = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round(decimals=1).clamp(0, 1)
IMAGES[:3] = (IMAGES[:3] > 0.5).float()  # half the images are pure black and white, so that clipping bites


def draws(ids: Tensor = IDS, seed: int = 0) -> Draws:
    return Draws(seed=seed, sample_ids=ids)


def mean_l2(images: Tensor, clean: Tensor = IMAGES) -> float:
    return float(np.linalg.norm((images - clean).flatten(1).double().numpy(), axis=1).mean())


@pytest.mark.parametrize("wanted", [0.05, 1.0, 2.5, 10.0])
def test_the_mean_l2_is_met_after_clipping(wanted: float) -> None:
    noisy = add_noise(IMAGES, wanted, draws())
    assert mean_l2(noisy.images) == pytest.approx(wanted, abs=1e-4)
    assert noisy.mean_l2 == pytest.approx(wanted, abs=1e-4)
    assert float(noisy.images.min()) >= 0
    assert float(noisy.images.max()) <= 1
    assert noisy.sigma > wanted / 28  # without clipping sigma would be L2 / sqrt(784)


def test_noise_belongs_to_an_image_not_to_its_place() -> None:
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    whole = add_noise(IMAGES, 2.0, draws())
    shuffled = add_noise(IMAGES[order], 2.0, draws(IDS[order]))
    assert torch.allclose(shuffled.images, whole.images[order], atol=1e-5)

    gray = torch.full((6, 1, 28, 28), 0.5)
    whole, part = add_noise(gray, 0.5, draws()), add_noise(gray[4:], 0.5, draws(IDS[4:]))  # nothing is clipped
    direction = (whole.images[4:] - 0.5) / whole.sigma
    assert torch.allclose((part.images - 0.5) / part.sigma, direction, atol=1e-4)


def test_another_seed_is_other_noise() -> None:
    assert not torch.equal(add_noise(IMAGES, 1.0, draws()).images, add_noise(IMAGES, 1.0, draws(seed=1)).images)


def test_larger_than_possible_gives_the_largest_and_says_so() -> None:
    noisy = add_noise(IMAGES, 1000.0, draws())
    assert noisy.mean_l2 == pytest.approx(mean_l2(noisy.images), abs=1e-3)
    # at a huge sigma a pixel becomes 0 or 1 with even odds; 28 is the distance from black to white
    assert 15 < noisy.mean_l2 < 28


def test_no_noise_leaves_the_images() -> None:
    noisy = add_noise(IMAGES, 0.0, draws())
    assert torch.equal(noisy.images, IMAGES)
    assert (noisy.sigma, noisy.mean_l2) == (0, 0)
