"""MNIST's networks, for images (1, 28, 28).

Sources: baseline, the paper's supplement, Table 7 (4 convolutions, 4 fully connected layers); [D] the widths
are those of Carlini and Wagner 2017, arXiv:1608.04644, Table 1, with one more layer of 200. ER network,
Table 8 and the training code of the paper's first author.

`width` scales every hidden layer; the embedding and the number of classes stay.
"""

from torch import nn

from defenses.networks.family import NetworkFamily
from defenses.networks.heads import fully_connected_head
from defenses.networks.normalization import SYMMETRIC_MEAN, SYMMETRIC_STD
from defenses.networks.strided import Convolution, strided_encoder


def baseline_encoder(width: float = 1.0) -> nn.Sequential:
    """Four unpadded 3x3 convolutions, pooled after each pair: (n, 1, 28, 28) -> (n, 1024 * width)."""
    narrow, wide = round(32 * width), round(64 * width)
    return nn.Sequential(
        nn.Conv2d(1, narrow, 3),  # (n, 32, 26, 26)
        nn.ReLU(),
        nn.Conv2d(narrow, narrow, 3),  # (n, 32, 24, 24)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (n, 32, 12, 12)
        nn.Conv2d(narrow, wide, 3),  # (n, 64, 10, 10)
        nn.ReLU(),
        nn.Conv2d(wide, wide, 3),  # (n, 64, 8, 8)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (n, 64, 4, 4)
        nn.Flatten(),  # (n, 1024)
    )


def baseline_head(classes: int, width: float = 1.0) -> nn.Sequential:
    """Four fully connected layers, three of them hidden: (n, 1024 * width) -> (n, classes)."""
    hidden = round(200 * width)
    return fully_connected_head([round(64 * width) * 4 * 4, hidden, hidden, hidden, classes])


def er_encoder(embedding_dim: int, width: float = 1.0) -> nn.Sequential:
    """Four stride-2 convolutions and a linear layer: (n, 1, 28, 28) -> (n, embedding_dim)."""
    convolutions = [
        Convolution(round(128 * width), kernel_size=4, padding=1),  # (n, 128, 14, 14)
        Convolution(round(256 * width), kernel_size=4, padding=1),  # (n, 256, 7, 7)
        Convolution(round(512 * width), kernel_size=4, padding=1),  # (n, 512, 3, 3)
        Convolution(round(1024 * width), kernel_size=4, padding=1),  # (n, 1024, 1, 1)
    ]
    return strided_encoder(convolutions, image_channels=1, embedding_dim=embedding_dim)


def er_head(embedding_dim: int, classes: int, width: float = 1.0) -> nn.Sequential:
    """Three fully connected layers with BatchNorm between: (n, embedding_dim) -> (n, classes)."""
    return fully_connected_head([embedding_dim, round(500 * width), round(256 * width), classes], batch_norm=True)


FAMILY = NetworkFamily(
    name="mnist",
    summary="4 convolutions; ER encoder of stride-2 convolutions",
    source="supplement, Tables 2, 7, 8",
    image_shape=(1, 28, 28),
    embedding_dim=4,
    intrinsic_dim=13,
    mean=(SYMMETRIC_MEAN,),
    std=(SYMMETRIC_STD,),
    baseline_encoder=baseline_encoder,
    baseline_head=baseline_head,
    er_encoders={"scratch": er_encoder},
    er_head=er_head,
)
