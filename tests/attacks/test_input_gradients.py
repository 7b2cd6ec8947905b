"""Attacks compute input gradients only.

Counted with torch's FlopCounterMode: a linear layer's pass costs 2 * rows * inputs * outputs, the gradient of its
input the same again, and that of its weight once more, which must not be spent.
"""

import pytest
import torch
from small_attacks import small_config
from small_models import PIXELS, draws_for, probe_for, random_images
from small_watched import watched_by_brightness
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from attacks.contract import AttackEntry
from attacks.goal import Goal
from attacks.probe import Probe
from attacks.registry import ATTACKS
from attacks.watched import WatchedProbe

PASS = 2 * (PIXELS * 32 + 32 * 5)  # one way through `small_network` for one image

KNOWN = {
    "fgsm": 14 * 2,  # there and back
    "pgd": 14 * 2 * (3 * 2 + 1),  # two restarts of three steps there and back, and one last look
}
"""What attacks cost with the small budget, in passes one way."""


class _Meter:
    """A model that counts the images that go through it and those whose gradients come back."""

    def __init__(self, network: nn.Sequential) -> None:
        self._network = network
        self.passes = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.passes += len(images)
        images = 1 * images  # the counter cannot do with leaf inputs
        if images.requires_grad:
            images.register_hook(self._on_the_way_back)
        return self._network(images)

    def _on_the_way_back(self, gradient: Tensor) -> None:
        self.passes += len(gradient)


def _probe(entry: AttackEntry, meter: _Meter, images: Tensor, goal: Goal) -> Probe:
    if not entry.is_aware:
        return probe_for(meter, goal)
    watched = watched_by_brightness(meter, images, random_images(9))
    return WatchedProbe(meter, goal, torch.arange(len(images)), watched=watched)


@pytest.mark.parametrize("entry", list(ATTACKS), ids=lambda entry: entry.name)
@pytest.mark.parametrize("trainable", [False, True])
def test_no_gradient_of_a_weight_is_computed(
    network: nn.Sequential, images: Tensor, goal: Goal, entry: AttackEntry, trainable: bool
) -> None:
    network.requires_grad_(trainable)
    meter = _Meter(network)
    config = small_config(entry, until="end")
    with FlopCounterMode(display=False) as counter:
        crafted = entry.attack(_probe(entry, meter, images, goal), images, config, draws_for(14))
    assert counter.get_total_flops() == meter.passes * PASS
    assert meter.passes == KNOWN.get(entry.name, meter.passes)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not crafted.requires_grad
    assert all(parameter.requires_grad is trainable for parameter in network.parameters())


def test_the_counter_would_see_a_weight_gradient(network: nn.Sequential, images: Tensor) -> None:
    meter = _Meter(network)
    with FlopCounterMode(display=False) as counter:
        meter(images.requires_grad_()).sum().backward()
    assert meter.passes == 2 * 14
    assert counter.get_total_flops() == 3 * 14 * PASS
    assert torch.is_tensor(images.grad)
