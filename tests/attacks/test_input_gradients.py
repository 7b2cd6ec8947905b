"""Attacks compute input gradients only.

Counted with torch's FlopCounterMode: a linear layer's pass costs 2 * rows * inputs * outputs, the gradient of its
input the same again, and that of its weight once more, which must not be spent.
"""

from collections.abc import Callable

import pytest
import torch
from small_models import PIXELS, draws_for
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from attacks.goal import Goal
from attacks.cw import CwConfig, cw
from attacks.fgsm import FgsmConfig, fgsm
from attacks.pgd import PgdConfig, pgd

Run = Callable[[Callable[[Tensor], Tensor], Tensor, Goal], Tensor]
PASS = 2 * 14 * (PIXELS * 32 + 32 * 5)  # one way through `small_network` for 14 images

RUNS: dict[str, tuple[Run, int]] = {
    "fgsm": (lambda model, *rest: fgsm(model, *rest, FgsmConfig(epsilon=0.1), draws_for(14)), 2),
    # 3 steps there and back, and one last look
    "pgd": (lambda model, *rest: pgd(model, *rest, PgdConfig(epsilon=0.1, step_size=0.1, steps=3), draws_for(14)), 7),
    # the first check comes after the only step, so no image leaves early
    "cw": (lambda model, *rest: cw(model, *rest, CwConfig(search_steps=3, steps=1), draws_for(14)), 6),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("trainable", [False, True])
def test_no_gradient_of_a_weight_is_computed(
    network: nn.Sequential, images: Tensor, goal: Goal, name: str, trainable: bool
) -> None:
    run, passes = RUNS[name]
    network.requires_grad_(trainable)
    with FlopCounterMode(display=False) as counter:
        crafted = run(lambda batch: network(1 * batch), images, goal)  # the counter cannot do with leaf inputs
    assert counter.get_total_flops() == passes * PASS
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not crafted.requires_grad
    assert all(parameter.requires_grad is trainable for parameter in network.parameters())


def test_the_counter_would_see_a_weight_gradient(network: nn.Sequential, images: Tensor) -> None:
    with FlopCounterMode(display=False) as counter:
        network(images.requires_grad_()).sum().backward()
    assert counter.get_total_flops() == 3 * PASS
    assert torch.is_tensor(images.grad)
