"""What a dataset's networks consist of: the parts that the registry puts together.

Source: the paper's supplement, C.2 (Table 2) and G (Tables 7 and 8).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFamily:
    """The baseline network and the ER network for one image shape.

    name: the dataset whose networks these are.
    summary: one line that says what they are.
    source: the tables they follow.
    image_shape: (channels, height, width) of the images they take.
    embedding_dim: final size of the embedding, Table 2.
    intrinsic_dim: estimated intrinsic dimension of the dataset, Table 2.
    mean: what the first layer subtracts, one value a channel, in pixel units.
    std: what it divides by, one value a channel, in pixel units.
    baseline_encoder: () -> the flattened convolutional trunk, (n, c, h, w) -> (n, d).
    baseline_head: classes -> the fully connected layers, (n, d) -> (n, classes).
    er_encoders: name of an initialization -> (embedding_dim -> encoder, (n, c, h, w) -> (n, embedding_dim)).
    er_head: (embedding_dim, classes) -> the classifier on the embedding, (n, embedding_dim) -> (n, classes).
    """

    name: str
    summary: str
    source: str
    image_shape: tuple[int, int, int]
    embedding_dim: int
    intrinsic_dim: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    baseline_encoder: Callable[[], nn.Module]
    baseline_head: Callable[[int], nn.Sequential]
    er_encoders: Mapping[str, Callable[[int], nn.Module]]
    er_head: Callable[[int, int], nn.Sequential]
