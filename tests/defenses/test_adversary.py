"""PGD examples of a training batch: modes, draws, and no gradient of a weight.

Costs are counted with torch's FlopCounterMode: a linear layer costs 2 * rows * inputs * outputs on the way there,
the same for its input's gradient, and once more for its weight's, which must not be spent.
"""

import pytest
import torch
from small_parts import tiny_classifier
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from attacks.pgd import PgdConfig
from bench.datasets.contract import Split
from defenses.contract import Classifier
from defenses.training.adversary import adversarial_batch, epoch_draws, eval_mode

CONFIG = PgdConfig(epsilon=0.2, step_size=0.1, steps=3)
ALL = torch.arange(120)


def _mixed_modes(network: Classifier) -> dict[nn.Module, bool]:
    network.train()
    network.head[2].eval()  # a frozen BatchNorm in a network that trains
    return {module: module.training for module in network.modules()}


def test_modes_come_back_also_after_an_error(network: Classifier) -> None:
    modes = _mixed_modes(network)
    with eval_mode(network):
        assert not any(module.training for module in network.modules())
    assert {module: module.training for module in network.modules()} == modes
    with pytest.raises(ZeroDivisionError), eval_mode(network):
        raise ZeroDivisionError
    assert {module: module.training for module in network.modules()} == modes


def test_examples_are_made_in_eval_mode_and_leave_the_network_alone(network: Classifier, toy: Split) -> None:
    modes = _mixed_modes(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    seen: list[bool] = []
    network.register_forward_hook(lambda module, *_: seen.append(module.training))
    images = toy.images()
    crafted = adversarial_batch(network, images, toy.labels, CONFIG, epoch_draws(0, 1, ALL))
    assert seen == [False] * 3  # one look a step
    assert {module: module.training for module in network.modules()} == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())  # BatchNorm's too
    assert float((crafted - images).abs().max()) <= 0.2 + 1e-6
    with eval_mode(network), torch.no_grad():
        loss = nn.CrossEntropyLoss()
        assert float(loss(network(crafted), toy.labels)) > float(loss(network(images), toy.labels))


def test_starts_belong_to_seed_epoch_and_image() -> None:
    def first(seed: int, epoch: int, batch: list[int]) -> Tensor:
        return epoch_draws(seed, epoch, torch.tensor(batch)).uniform("pgd", (4,))

    assert torch.equal(first(0, 1, [3, 8]), first(0, 1, [8, 3]).flip(0))
    assert not torch.equal(first(0, 1, [3]), first(0, 2, [3]))
    assert not torch.equal(first(0, 2, [3]), first(1, 1, [3]))


class _Linear(nn.Module):
    """One linear layer without submodules; a copy of its input, since the counter cannot do with leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 64))

    def __call__(self, images: Tensor) -> Tensor:
        return (1 * images).flatten(1) @ self.weight.T


@pytest.mark.parametrize("trainable", [False, True])
def test_no_gradient_of_a_weight_is_computed(toy: Split, trainable: bool) -> None:
    network = _Linear().requires_grad_(trainable)
    with FlopCounterMode(display=False) as counter:
        adversarial_batch(network, toy.images(), toy.labels, CONFIG, epoch_draws(0, 1, ALL))
    assert counter.get_total_flops() == 3 * 2 * 2 * 120 * 64 * 2  # three steps, there and back
    assert network.weight.grad is None


def test_no_weight_of_a_real_network_gets_a_gradient(toy: Split) -> None:
    network = tiny_classifier()
    adversarial_batch(network, toy.images(), toy.labels, CONFIG, epoch_draws(0, 1, ALL))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
