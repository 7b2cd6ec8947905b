"""The quick convolution against torch's own, over every way of ending in one position and some that do not."""

import pytest
import torch
from torch import nn

from defenses.networks.convolution import Convolution2d


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [(3, 4, 2, 1), (2, 4, 2, 1), (3, 3, 2, 0), (4, 3, 2, 0), (1, 3, 2, 1), (7, 4, 2, 1), (5, 3, 1, 1)],
)
def test_equals_torch_in_output_and_gradients(size: int, kernel: int, stride: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(0)
    ours = Convolution2d(5, 6, kernel, stride=stride, padding=padding)
    theirs = nn.Conv2d(5, 6, kernel, stride=stride, padding=padding)
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn((2, 5, size, size), generator=generator)
    results = []
    for layer in (ours, theirs):
        given = images.clone().requires_grad_()
        output = layer(given)
        output.square().sum().backward()
        results.append((output, given.grad, layer.weight.grad, layer.bias.grad))
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-5)
