"""Tiny ImageNet's networks, for images (3, 64, 64).

Source: the paper's supplement, Tables 7 and 8: both networks have 13 convolutions with BatchNorm and
5 max-poolings, which is VGG16's trunk; then 4 fully connected layers, or 1 to the embedding and 3 behind it.
[D] those layers are 512 wide, with dropout in the baseline as on CIFAR-10; Table 8 names no BatchNorm behind
the embedding.
"""

from torch import nn

from defenses.networks.family import NetworkFamily
from defenses.networks.heads import fully_connected_head
from defenses.networks.normalization import IMAGENET_MEAN, IMAGENET_STD
from defenses.networks.vgg import TRUNK_CHANNELS, vgg_trunk

_FEATURES = TRUNK_CHANNELS * 2 * 2
_HIDDEN = 512


def baseline_encoder() -> nn.Sequential:
    """VGG16's trunk with BatchNorm: (n, 3, 64, 64) -> (n, 2048)."""
    return nn.Sequential(
        *vgg_trunk("D", batch_norm=True),  # (n, 512, 2, 2)
        nn.Flatten(),  # (n, 2048)
    )


def baseline_head(classes: int) -> nn.Sequential:
    """Four fully connected layers, dropout before the first two: (n, 2048) -> (n, classes)."""
    return fully_connected_head([_FEATURES, _HIDDEN, _HIDDEN, _HIDDEN, classes], dropout_layers=2)


def er_encoder(embedding_dim: int) -> nn.Sequential:
    """The baseline's trunk and a linear layer: (n, 3, 64, 64) -> (n, embedding_dim)."""
    return nn.Sequential(*baseline_encoder(), nn.Linear(_FEATURES, embedding_dim))


def er_head(embedding_dim: int, classes: int) -> nn.Sequential:
    """Three fully connected layers: (n, embedding_dim) -> (n, classes)."""
    return fully_connected_head([embedding_dim, _HIDDEN, _HIDDEN, classes])


FAMILY = NetworkFamily(
    name="tiny-imagenet",
    summary="VGG16's trunk with BatchNorm in both networks",
    source="supplement, Tables 2, 7, 8",
    image_shape=(3, 64, 64),
    embedding_dim=20,
    intrinsic_dim=19,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    baseline_encoder=baseline_encoder,
    baseline_head=baseline_head,
    er_encoders={"scratch": er_encoder},
    er_head=er_head,
)
