"""Per-channel normalization as the network's first layer, so that images stay in [0, 1] outside of it.

Sources: [D] a layer rather than a data transform, so that an attack's budget is in pixel units; the
statistics are those of the authors' code for MNIST and STL-10 ([-1, 1]), ImageNet's elsewhere.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ChannelNormalization(nn.Module):
    """(images - mean) / std for each channel; both are saved and moved with the network, never trained.

    Args:
        mean: one value a channel, in pixel units.
        std: one positive value a channel, in pixel units.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # (channels, 1, 1), so that they broadcast over (n, channels, height, width)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) float32 in [0, 1] -> the same shape, normalized."""
        return (images - self.mean) / self.std


# Half and half map [0, 1] to [-1, 1], the range of the authors' MNIST and STL-10 code.
SYMMETRIC_MEAN = SYMMETRIC_STD = 0.5
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
