"""VGG's convolutional trunk: CIFAR-10's and Tiny ImageNet's.

Source: Simonyan and Zisserman 2014, arXiv:1409.1556, Table 1, configurations D (VGG16) and E (VGG19);
layers and initialization are torchvision's.
"""

from typing import Literal

from torch import nn

TRUNK_CHANNELS = 512


def vgg_trunk(configuration: Literal["D", "E"], *, batch_norm: bool) -> nn.Sequential:
    """The convolutions and poolings of a VGG network, module for module in torchvision's order.

    Args:
        configuration: "D" has 13 convolutions, "E" has 16; both have 5 max-poolings.
        batch_norm: BatchNorm after each convolution.

    Returns:
        (n, 3, h, w) -> (n, 512, h // 32, w // 32), not negative.
    """
    # torchvision takes a second to import, and most networks do without it.
    from torchvision.models.vgg import cfgs, make_layers  # type: ignore[import-untyped, unused-ignore]  # ships no types

    # torchvision's ReLU overwrites its input, which is the output that a hook on the layer before has kept.
    layers = [
        nn.ReLU() if isinstance(layer, nn.ReLU) else layer
        for layer in make_layers(cfgs[configuration], batch_norm=batch_norm)
    ]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            # As torchvision's VGG does. With torch's default every layer gives less than it gets: after 13 or
            # 16 of them, before BatchNorm has seen data, all images look the same.
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
