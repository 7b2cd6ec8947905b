"""The ER encoder that shrinks the image by strides instead of pooling: MNIST's and STL-10's.

Source: the training code of the paper's first author; the supplement, G, Table 8.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from defenses.networks.convolution import Convolution2d


class Convolution(NamedTuple):
    """One stride-2 convolution: channels it gives, side of its kernel, zeros padded around the image."""

    channels: int
    kernel_size: int
    padding: int


def strided_encoder(convolutions: Sequence[Convolution], *, image_channels: int, embedding_dim: int) -> nn.Sequential:
    """Stride-2 convolutions down to 1x1, then one linear layer to the embedding.

    Convolutions carry no bias; BatchNorm stands before the ReLU of all but the first.

    Args:
        convolutions: first to last; their shapes must bring the image down to 1x1.
        image_channels: channels of the image.
        embedding_dim: size of the embedding.

    Returns:
        (n, image_channels, h, w) -> (n, embedding_dim), any sign.
    """
    layers: list[nn.Module] = []
    channels = image_channels
    for index, step in enumerate(convolutions):
        layers.append(
            Convolution2d(channels, step.channels, step.kernel_size, stride=2, padding=step.padding, bias=False)
        )
        if index > 0:
            layers.append(nn.BatchNorm2d(step.channels))
        layers.append(nn.ReLU())
        channels = step.channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels, embedding_dim))
