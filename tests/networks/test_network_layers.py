"""Each network has the layers of the supplement's Tables 7 and 8, and the widths that its file names."""

import pytest
import torch
from torch import nn

from defenses.contract import Classifier
from defenses.networks import cifar10, digits, mnist
from defenses.networks.family import NetworkFamily
from defenses.networks.registry import FAMILIES

# (Conv2d, BatchNorm2d, MaxPool2d, Linear) of the encoder; (Linear, BatchNorm1d) of the head. Table 7 counts
# convolutions, BatchNorm, poolings and fully connected layers; MNIST's poolings are Carlini and Wagner's.
TABLE_7 = {
    "digits": ((4, 0, 2, 0), (4, 0)),
    "mnist": ((4, 0, 2, 0), (4, 0)),
    "cifar10": ((16, 16, 5, 0), (3, 0)),  # VGG19: 16 + 3 = 19 layers with weights
    "stl10": ((6, 6, 5, 0), (4, 0)),
    "tiny-imagenet": ((13, 13, 5, 0), (4, 0)),
}
# Table 8: "nConv. + 1FC" and "nFC". BatchNorm follows all but the first strided convolution (authors' code).
TABLE_8 = {
    "digits": ((4, 3, 0, 1), (3, 2)),
    "mnist": ((4, 3, 0, 1), (3, 2)),
    "cifar10": ((16, 16, 5, 1), (4, 0)),  # our BatchNorm, because it is trained from scratch
    "stl10": ((6, 5, 0, 1), (3, 2)),
    "tiny-imagenet": ((13, 13, 5, 1), (3, 0)),
}
# Output channels of the convolutions, from the authors' code (strided) and VGG's Table 1.
ER_CHANNELS = {
    "digits": [32, 64, 128, 256],
    "mnist": [128, 256, 512, 1024],
    "cifar10": [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8,
    "stl10": [128, 256, 512, 1024, 2048, 2048],
    "tiny-imagenet": [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6,
}
# Output widths of the head's linear layers, from the authors' code; Tiny ImageNet's hidden ones are ours.
ER_HEAD_WIDTHS = {
    "digits": [125, 64, 10],
    "mnist": [500, 256, 10],
    "cifar10": [512, 512, 512, 10],
    "stl10": [500, 256, 10],
    "tiny-imagenet": [512, 512, 200],
}


def _counts(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> tuple[int, ...]:
    return tuple(sum(isinstance(layer, kind) for layer in module.modules()) for kind in kinds)


def _widths(module: nn.Module, kind: type[nn.Module]) -> list[int]:
    return [layer.weight.shape[0] for layer in module.modules() if isinstance(layer, kind)]


def _names(module: nn.Sequential) -> list[str]:
    return [type(layer).__name__ for layer in module]


def test_layer_counts_are_those_of_the_tables(family: NetworkFamily, kind: str, network: Classifier) -> None:
    encoder, head = (TABLE_7 if kind == "baseline" else TABLE_8)[family.name]
    found = _counts(network.encoder, (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.Linear))
    assert found == encoder
    assert _counts(network.head, (nn.Linear, nn.BatchNorm1d)) == head


@pytest.mark.parametrize("name", ER_CHANNELS)
def test_er_widths_are_the_authors(name: str) -> None:
    family = FAMILIES.get(name)
    classes = ER_HEAD_WIDTHS[name][-1]
    with torch.device("meta"):  # shapes without weights
        encoder = family.er_encoders["scratch"](family.embedding_dim)
        head = family.er_head(family.embedding_dim, classes)
    assert _widths(encoder, nn.Conv2d) == ER_CHANNELS[name]
    assert _widths(encoder, nn.Linear) == [family.embedding_dim]
    assert _widths(head, nn.Linear) == ER_HEAD_WIDTHS[name]


@pytest.mark.parametrize("name", ["cifar10", "tiny-imagenet"])
def test_vgg_baselines_have_vggs_widths(name: str) -> None:
    with torch.device("meta"):
        assert _widths(FAMILIES.get(name).baseline_encoder(), nn.Conv2d) == ER_CHANNELS[name]


def test_mnist_baseline_has_carlini_and_wagners_widths() -> None:
    # Their Table 1, and one fully connected layer more, because Table 7 counts four.
    assert _widths(mnist.baseline_encoder(), nn.Conv2d) == [32, 32, 64, 64]
    assert _widths(mnist.baseline_head(10), nn.Linear) == [200, 200, 200, 10]


def test_digits_networks_are_a_quarter_as_wide_as_mnists() -> None:
    pairs = [
        (digits.FAMILY.baseline_encoder(), mnist.baseline_encoder(), nn.Conv2d),
        (digits.FAMILY.er_encoders["scratch"](4), mnist.er_encoder(4), nn.Conv2d),
        (digits.FAMILY.baseline_head(10)[:-1], mnist.baseline_head(10)[:-1], nn.Linear),
        (digits.FAMILY.er_head(4, 10)[:-1], mnist.er_head(4, 10)[:-1], nn.Linear),
    ]
    for narrow, full, kind in pairs:
        assert [4 * width for width in _widths(narrow, kind)] == _widths(full, kind)


def test_cifar10_er_head_drops_after_the_first_two_linear_layers() -> None:
    expected = ["Linear", "Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear"]
    assert _names(cifar10.er_head(16, 10)) == expected


@pytest.mark.parametrize("name", ["digits", "mnist", "stl10"])
def test_strided_convolutions_have_no_bias_and_norm_stands_before_the_relu(name: str) -> None:
    with torch.device("meta"):
        encoder = FAMILIES.get(name).er_encoders["scratch"](4)
    assert isinstance(encoder, nn.Sequential)
    steps = len(ER_CHANNELS[name]) - 1
    expected = ["Convolution2d", "ReLU", *["Convolution2d", "BatchNorm2d", "ReLU"] * steps, "Flatten", "Linear"]
    assert _names(encoder) == expected
    assert all(layer.bias is None for layer in encoder if isinstance(layer, nn.Conv2d))


def test_no_layer_overwrites_its_input(network: Classifier) -> None:
    assert not [layer for layer in network.modules() if getattr(layer, "inplace", False)]
