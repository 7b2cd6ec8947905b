"""The discriminator's layers and range."""

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from defenses.networks.registry import build_discriminator


def test_layers_are_the_authors() -> None:
    # Four hidden layers of width 512, one output: the authors' code.
    linear = [layer for layer in build_discriminator(4, seed=0).modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [
        (4, 512),
        (512, 512),
        (512, 512),
        (512, 512),
        (512, 1),
    ]


def test_number_of_parameters() -> None:
    # By hand: (4 + 1) * 512 + 3 * (512 + 1) * 512 + (512 + 1)
    parameters = build_discriminator(4, seed=0).parameters()
    assert sum(parameter.numel() for parameter in parameters) == 2560 + 787968 + 513


def test_output_is_one_log_probability_a_point() -> None:
    discriminator = build_discriminator(16, seed=0)
    points = 10 * torch.randn(50, 16, generator=torch.Generator().manual_seed(0))
    output = discriminator(points)
    assert output.shape == (50,)
    assert output.max() <= 0
    assert output.std() > 0
    # log(sigmoid) by hand, on the score before it.
    scores = discriminator.layers(points).squeeze(1)
    torch.testing.assert_close(output, torch.log(1 / (1 + torch.exp(-scores))))


def test_one_point_and_far_points_stay_finite() -> None:
    discriminator = build_discriminator(4, seed=0)
    assert discriminator(torch.zeros(1, 4)).shape == (1,)
    assert torch.isfinite(discriminator(torch.full((2, 4), 1e6))).all()


def test_hidden_layers_are_rectified() -> None:
    discriminator = build_discriminator(4, seed=0)
    kinds = [type(layer).__name__ for layer in discriminator.layers]
    assert kinds == ["Linear", "ReLU"] * 4 + ["Linear"]
    assert logsigmoid(torch.tensor(0.0)) < 0
