"""A small classifier and a separable toy problem that the tests of the defenses share."""

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from bench.datasets.contract import Split
from defenses.contract import Classifier

SIDE = 8


def toy_images(count: int, seed: int = 0) -> Split:
    """Dim noise with one bright half: the left one for class 0, the right one for class 1; (count, 1, 8, 8)."""
    generator = Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    pixels = torch.randint(0, 120, (count, 1, SIDE, SIDE), generator=generator)
    for label, columns in ((0, slice(0, 4)), (1, slice(4, 8))):
        pixels[labels == label, :, :, columns] += 120
    return Split(pixels=pixels.to(torch.uint8), labels=labels)


def tiny_classifier(*, embedding_dim: int = 3, seed: int = 0) -> Classifier:
    """Two classes, one convolution, an embedding, dropout and BatchNorm; in train mode, random weights."""
    network = Classifier(
        normalization=nn.Identity(),
        encoder=nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, embedding_dim)
        ),
        head=nn.Sequential(nn.Dropout(0.1), nn.Linear(embedding_dim, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)),
    )
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.ndim > 1:
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5, generator=generator)
    return network


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of all that a network stores."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def watch_adversary(monkeypatch: pytest.MonkeyPatch, loop: ModuleType) -> list[tuple[Tensor, Tensor]]:
    """Let a training loop's `adversarial_batch` note the images it is given and the examples it makes of them."""
    made: list[tuple[Tensor, Tensor]] = []
    original = loop.adversarial_batch

    def watched(network: nn.Module, images: Tensor, *rest: Any) -> Tensor:
        made.append((images, original(network, images, *rest)))
        return made[-1][1]

    monkeypatch.setattr(loop, "adversarial_batch", watched)
    return made
