"""STL-10's networks, for images (3, 96, 96).

Sources: baseline, the paper's supplement, Table 7 (6 convolutions with BatchNorm, 5 max-poolings, 4 fully
connected layers); [D] widths 64 to 512 as in VGG, the last convolution unpadded so that it ends at 1x1. ER
network, Table 8 and the training code of the paper's first author; its classifier is MNIST's.
"""

from torch import nn

from defenses.networks.family import NetworkFamily
from defenses.networks.heads import fully_connected_head
from defenses.networks.mnist import er_head
from defenses.networks.normalization import SYMMETRIC_MEAN, SYMMETRIC_STD
from defenses.networks.strided import Convolution, strided_encoder

_BASELINE_CHANNELS = (64, 128, 256, 512, 512)
_FEATURES = 512


def baseline_encoder() -> nn.Sequential:
    """Five pooled 3x3 convolutions and one that spans what is left: (n, 3, 96, 96) -> (n, 512)."""
    layers: list[nn.Module] = []
    channels = 3
    # (n, 64, 48, 48), (n, 128, 24, 24), (n, 256, 12, 12), (n, 512, 6, 6), (n, 512, 3, 3)
    for wide in _BASELINE_CHANNELS:
        layers += [
            nn.Conv2d(channels, wide, 3, padding=1),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        channels = wide
    layers += [nn.Conv2d(channels, _FEATURES, 3), nn.BatchNorm2d(_FEATURES), nn.ReLU()]  # (n, 512, 1, 1)
    return nn.Sequential(*layers, nn.Flatten())  # (n, 512)


def baseline_head(classes: int) -> nn.Sequential:
    """Four fully connected layers, three of them hidden: (n, 512) -> (n, classes)."""
    return fully_connected_head([_FEATURES, 512, 512, 512, classes])


def er_encoder(embedding_dim: int) -> nn.Sequential:
    """Six stride-2 convolutions and a linear layer: (n, 3, 96, 96) -> (n, embedding_dim)."""
    convolutions = [
        Convolution(128, kernel_size=4, padding=1),  # (n, 128, 48, 48)
        Convolution(256, kernel_size=4, padding=1),  # (n, 256, 24, 24)
        Convolution(512, kernel_size=4, padding=1),  # (n, 512, 12, 12)
        Convolution(1024, kernel_size=4, padding=1),  # (n, 1024, 6, 6)
        Convolution(2048, kernel_size=4, padding=1),  # (n, 2048, 3, 3)
        Convolution(2048, kernel_size=3, padding=0),  # (n, 2048, 1, 1)
    ]
    return strided_encoder(convolutions, image_channels=3, embedding_dim=embedding_dim)


FAMILY = NetworkFamily(
    name="stl10",
    summary="6 convolutions with BatchNorm; ER encoder of stride-2 convolutions",
    source="supplement, Tables 2, 7, 8",
    image_shape=(3, 96, 96),
    embedding_dim=16,
    intrinsic_dim=20,
    mean=(SYMMETRIC_MEAN,) * 3,
    std=(SYMMETRIC_STD,) * 3,
    baseline_encoder=baseline_encoder,
    baseline_head=baseline_head,
    er_encoders={"scratch": er_encoder},
    er_head=er_head,
)
