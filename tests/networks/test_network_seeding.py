"""Initial weights depend on the seed alone, and building leaves the global generator alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from defenses.networks.registry import build_baseline, build_discriminator, build_er_network

Build = Callable[[int], nn.Module]

BUILDERS: dict[str, Build] = {
    "baseline": lambda seed: build_baseline("digits", classes=10, seed=seed),
    "er": lambda seed: build_er_network("digits", classes=10, embedding_dim=4, seed=seed),
    "discriminator": lambda seed: build_discriminator(4, seed=seed),
}


@pytest.fixture(params=BUILDERS)
def build(request: pytest.FixtureRequest) -> Build:
    return BUILDERS[request.param]


def _weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.flatten() for parameter in network.parameters()])


def test_same_seed_gives_the_same_weights_whatever_was_drawn_before(build: Build) -> None:
    first = _weights(build(7))
    torch.rand(3)
    assert torch.equal(first, _weights(build(7)))


def test_another_seed_gives_other_weights(build: Build) -> None:
    assert not torch.equal(_weights(build(7)), _weights(build(8)))


def test_the_global_generator_is_left_as_it_was(build: Build) -> None:
    before = torch.get_rng_state()
    build(7)
    assert torch.equal(before, torch.get_rng_state())


def test_the_global_generator_is_put_back_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        build_baseline("digits", classes=-1, seed=7)
    assert torch.equal(before, torch.get_rng_state())


def test_default_device_does_not_matter() -> None:
    with torch.device("meta"):
        network = BUILDERS["er"](7)
    assert torch.equal(_weights(network), _weights(BUILDERS["er"](7)))
