"""What each network gives on two images of its dataset's shape."""

import pytest
import torch
from torch import Tensor, nn

from defenses.contract import Classifier
from defenses.networks.family import NetworkFamily
from defenses.networks.registry import FAMILIES

# Supplement, Table 2: pixel space, estimated intrinsic dimension, embedding dimension.
TABLE_2 = {
    "mnist": ((1, 28, 28), 13, 4),
    "cifar10": ((3, 32, 32), 17, 16),
    "stl10": ((3, 96, 96), 20, 16),
    "tiny-imagenet": ((3, 64, 64), 19, 20),
}
# Width of the baselines' flattened trunks: the last convolution's channels times what is left of the image.
TRUNK_WIDTHS = {"digits": 16 * 16, "mnist": 64 * 16, "cifar10": 512, "stl10": 512, "tiny-imagenet": 512 * 4}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # torchvision's documentation of its models


@pytest.mark.parametrize("name", TABLE_2)
def test_families_carry_table_2(name: str) -> None:
    family = FAMILIES.get(name)
    assert (family.image_shape, family.intrinsic_dim, family.embedding_dim) == TABLE_2[name]


def test_shapes_of_embedding_features_and_logits(
    family: NetworkFamily, kind: str, classes: int, network: Classifier, images: Tensor
) -> None:
    width = family.embedding_dim if kind == "er" else TRUNK_WIDTHS[family.name]
    last = network.head[-1]
    with torch.inference_mode():
        embedding = network.embedding(images)
        features = network.features(images)
        logits = network(images)
        torch.testing.assert_close(logits, last(features))
    assert embedding.shape == (2, width)
    assert features.shape == (2, last.in_features)
    assert logits.shape == (2, classes)
    # Features are what the last ReLU gives and what the last layer takes.
    assert features.min() >= 0
    assert features.std() > 0


def test_the_two_images_are_told_apart(network: Classifier, images: Tensor) -> None:
    # Before training, when BatchNorm has seen no data yet, a trunk whose initial weights are too small fades
    # to its biases: with torch's defaults VGG's logits differ by 1e-7.
    with torch.inference_mode():
        first, second = network(images)
    assert (first - second).abs().max() > 1e-5


def test_normalization_is_the_networks_first_layer(family: NetworkFamily, network: Classifier, images: Tensor) -> None:
    mean, std = IMAGENET if family.name in ("cifar10", "tiny-imagenet") else ((0.5,), (0.5,))
    expected = (images - torch.tensor(mean).view(1, -1, 1, 1)) / torch.tensor(std).view(1, -1, 1, 1)
    torch.testing.assert_close(network.normalization(images), expected)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), network.head(network.encoder(expected)))
    # Saved with the network, but not trained.
    assert {"normalization.mean", "normalization.std"} <= set(network.state_dict())
    assert not list(network.normalization.parameters())


# From the authors' code: MNIST's sides are 28-14-7-3-1; STL-10's halve five times, then 3 becomes 1.
@pytest.mark.parametrize(
    ("name", "sides"),
    [("mnist", [14, 7, 3, 1]), ("digits", [14, 7, 3, 1]), ("stl10", [48, 24, 12, 6, 3, 1])],
)
def test_images_shrink_as_published(name: str, sides: list[int]) -> None:
    family = FAMILIES.get(name)
    found = []
    with torch.device("meta"):  # shapes without numbers
        encoder = family.er_encoders["scratch"](family.embedding_dim).eval()
        values = torch.empty(2, *family.image_shape)
        for layer in encoder.children():
            values = layer(values)
            if isinstance(layer, nn.Conv2d):
                found.append(values.shape[-1])
    assert found == sides


def test_hooks_keep_what_each_layer_gave(network: Classifier, images: Tensor) -> None:
    # LID reads every layer's output after the pass; a later layer must not have overwritten it.
    kept: list[Tensor] = []
    copies: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kept.append(output)
        copies.append(output.clone())

    hooks = [layer.register_forward_hook(keep) for layer in network.encoder.children()]
    with torch.inference_mode():
        network(images)
    for hook in hooks:
        hook.remove()
    assert len(kept) == len(hooks)
    assert all(torch.equal(output, copy) for output, copy in zip(kept, copies, strict=True))
