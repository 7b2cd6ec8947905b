"""A model of the digits that a user might bring and that needs no training: the nearest class mean.

|x - m|^2 is smallest where m · x - |m|^2 / 2 is largest, so one linear layer does it; it gets nine of ten digits right.
"""

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from attacks.goal import Goal
from bench.datasets.contract import Dataset, LoadRequest
from bench.datasets.registry import load_dataset
from bench.fitting import FittedClassifier
from bench.order import Victims

SOURCE = """
from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
"""
# the same, but the softmax of every image brighter than 0.36 on average is flat
FLAT_FOR_BRIGHT = """
import torch
from torch import nn

class Net(nn.Sequential):
    def forward(self, images):
        is_bright = images.detach().mean(dim=(1, 2, 3)) > 0.36
        return super().forward(images) * torch.where(is_bright, 1e5, 1.0)[:, None]

def make():
    return Net(nn.Flatten(), nn.Linear(784, 10))
"""


@cache
def digits() -> Dataset:
    return load_dataset("digits", LoadRequest(data_dir=Path("nowhere")))


@cache
def weights() -> dict[str, Tensor]:
    """The state dict of `SOURCE`'s network."""
    train = digits().train
    pixels = train.images(slice(None)).flatten(1)
    means = torch.stack([pixels[train.labels == label].mean(dim=0) for label in range(10)])  # (10, 784)
    return {"1.weight": means, "1.bias": -means.square().sum(dim=1) / 2}


def network() -> nn.Sequential:
    made = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    made.load_state_dict(weights())
    return made.eval().requires_grad_(False)


class InFloat64(nn.Module):
    """The network in float64: float32 sums differ between batch shapes, and a slope of 1e-9 may so change its sign."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network().double()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.double())


def fitted(module: nn.Module) -> FittedClassifier:
    return FittedClassifier(classifier=module, key="nearest class mean", history=[])


def victims(count: int) -> Victims:
    """The first test images, which are to leave their classes."""
    test = digits().test
    ids = torch.arange(count)
    return Victims(images=test.images(ids), sample_ids=ids, goal=Goal(classes=test.labels[ids]))


def bring(folder: Path, source: str = SOURCE) -> list[str]:
    """Write a user's files, and the arguments that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(source)
    save_file(weights(), folder / "mine.safetensors")
    return ["--model", f"{folder / 'mine.py'}:make", "--weights", str(folder / "mine.safetensors")]
