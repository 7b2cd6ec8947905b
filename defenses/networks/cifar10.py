"""CIFAR-10's networks, for images (3, 32, 32).

Sources: baseline, the paper's supplement, Table 7 (VGG19 with BatchNorm). ER network, Table 8 and the
training code of the paper's first author, whose encoder has no BatchNorm and starts from pretrained weights;
[D] trained from scratch it has BatchNorm, because 16 convolutions hardly train without.
"""

from torch import nn

from defenses.networks.family import NetworkFamily
from defenses.networks.heads import fully_connected_head
from defenses.networks.normalization import IMAGENET_MEAN, IMAGENET_STD
from defenses.networks.pretrained import load_imagenet_vgg19
from defenses.networks.vgg import TRUNK_CHANNELS, vgg_trunk

_HIDDEN = 512


def baseline_encoder() -> nn.Sequential:
    """VGG19's trunk with BatchNorm: (n, 3, 32, 32) -> (n, 512)."""
    return nn.Sequential(
        *vgg_trunk("E", batch_norm=True),  # (n, 512, 1, 1)
        nn.Flatten(),  # (n, 512)
    )


def baseline_head(classes: int) -> nn.Sequential:
    """Three fully connected layers, dropout before both hidden ones: (n, 512) -> (n, classes)."""
    return fully_connected_head([TRUNK_CHANNELS, _HIDDEN, _HIDDEN, classes], dropout_layers=2)


def er_encoder(embedding_dim: int) -> nn.Sequential:
    """The baseline's trunk and a linear layer, untrained: (n, 3, 32, 32) -> (n, embedding_dim)."""
    return nn.Sequential(*baseline_encoder(), nn.Linear(TRUNK_CHANNELS, embedding_dim))


def imagenet_er_encoder(embedding_dim: int) -> nn.Sequential:
    """VGG19's trunk without BatchNorm, trained on ImageNet, and a new linear layer.

    Raises:
        DataError: the weights cannot be downloaded.
    """
    trunk = vgg_trunk("E", batch_norm=False)
    load_imagenet_vgg19(trunk)
    return nn.Sequential(*trunk, nn.Flatten(), nn.Linear(TRUNK_CHANNELS, embedding_dim))


def er_head(embedding_dim: int, classes: int) -> nn.Sequential:
    """Four fully connected layers: (n, embedding_dim) -> (n, classes).

    The authors put dropout after the first two and ReLU between the later ones. That is VGG's classifier
    behind one linear layer that widens the embedding.
    """
    return nn.Sequential(nn.Linear(embedding_dim, TRUNK_CHANNELS), *baseline_head(classes))


FAMILY = NetworkFamily(
    name="cifar10",
    summary="VGG19 with BatchNorm; ER encoder the same, or pretrained on ImageNet without BatchNorm",
    source="supplement, Tables 2, 7, 8",
    image_shape=(3, 32, 32),
    embedding_dim=16,
    intrinsic_dim=17,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    baseline_encoder=baseline_encoder,
    baseline_head=baseline_head,
    er_encoders={"scratch": er_encoder, "imagenet": imagenet_er_encoder},
    er_head=er_head,
)
