"""The table of network families, and the functions that build a network from one.

Source: the paper's supplement, G (Tables 7 and 8).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from attacks.errors import RequestError
from attacks.registration import Registry
from defenses.contract import Classifier
from defenses.networks import cifar10, digits, mnist, stl10, tiny_imagenet
from defenses.networks.discriminator import Discriminator
from defenses.networks.family import NetworkFamily
from defenses.networks.normalization import ChannelNormalization

FAMILIES: Registry[NetworkFamily] = Registry(
    "network family",
    "erbench.networks",
    (digits.FAMILY, mnist.FAMILY, cifar10.FAMILY, stl10.FAMILY, tiny_imagenet.FAMILY),
)


def build_baseline(family: str, *, classes: int, seed: int) -> Classifier:
    """Build the network that the paper's baseline methods defend, untrained and in train mode.

    Args:
        family: name of a registered network family.
        classes: number of logits.
        seed: decides the initial weights, alone.

    Returns:
        A classifier on the CPU whose encoder is the flattened convolutional trunk.

    Raises:
        RequestError: there is no such family.
    """
    parts = FAMILIES.get(family)
    with _seeded(seed):
        return Classifier(
            normalization=ChannelNormalization(parts.mean, parts.std),
            encoder=parts.baseline_encoder(),
            head=parts.baseline_head(classes),
        )


def build_er_network(
    family: str, *, classes: int, embedding_dim: int, seed: int, encoder_init: str = "scratch"
) -> Classifier:
    """Build the encoder and classifier of the ER-Classifier, in train mode.

    Args:
        family: name of a registered network family.
        classes: number of logits.
        embedding_dim: size of the embedding, at least 1.
        seed: decides the initial weights, alone.
        encoder_init: "scratch", or "imagenet" for pretrained convolutions where the family has them.

    Returns:
        A classifier on the CPU whose encoder ends in the embedding.

    Raises:
        RequestError: there is no such family, the embedding has no dimension, or the family cannot start so.
        DataError: pretrained weights cannot be downloaded.
    """
    parts = FAMILIES.get(family)
    _check_embedding_dim(embedding_dim)
    if encoder_init not in parts.er_encoders:
        known = ", ".join(parts.er_encoders)
        raise RequestError(f"--encoder-init {encoder_init} does not exist for the {family} networks; take: {known}")
    with _seeded(seed):
        return Classifier(
            normalization=ChannelNormalization(parts.mean, parts.std),
            encoder=parts.er_encoders[encoder_init](embedding_dim),
            head=parts.er_head(embedding_dim, classes),
        )


def build_discriminator(embedding_dim: int, *, seed: int) -> Discriminator:
    """Build the discriminator of the ER-Classifier, untrained, on the CPU.

    Args:
        embedding_dim: size of the embedding, at least 1.
        seed: decides the initial weights, alone.

    Raises:
        RequestError: the embedding has no dimension.
    """
    _check_embedding_dim(embedding_dim)
    with _seeded(seed):
        return Discriminator(embedding_dim)


def _check_embedding_dim(embedding_dim: int) -> None:
    if embedding_dim < 1:
        raise RequestError(f"the embedding dimension is {embedding_dim}; it must be at least 1")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    # Modules initialize themselves from the global generator; their constructors take no other. So it is
    # seeded here and put back afterwards. Only the CPU's is used: the same weights on every machine.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        yield
