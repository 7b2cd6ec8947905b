"""What a dataset is: two splits of 8-bit images with labels, class names, and a digest of the bytes.

Pixels are kept as uint8 (a quarter of float32; all of Tiny ImageNet fits in memory) and become float32 in
[0, 1] at the moment they are asked for, which is the only form the rest of the project sees.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from bench.progress import Progress, Silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One half of a dataset.

    pixels: (n, channels, height, width) uint8, 0 is black.
    labels: (n,) int64 in [0, number of classes).
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, indices: Tensor | slice = slice(None)) -> Tensor:
        """The images at `indices`: (m, channels, height, width) float32 in [0, 1], on the pixels' device."""
        return self.pixels[indices].to(torch.float32) / 255

    def to(self, device: torch.device) -> "Split":
        """The same split with its tensors on `device`."""
        return Split(pixels=self.pixels.to(device), labels=self.labels.to(device))

    def take(self, indices: Tensor) -> "Split":
        """The part at `indices` ((m,) int64), in that order."""
        return Split(pixels=self.pixels[indices], labels=self.labels[indices])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Images to train on and images to test on.

    name: what the user asked for, "mnist" or "folder:PATH".
    family: name of the network family (`defenses.networks.registry`) whose image shape this dataset has.
    class_names: one a class; index is the label.
    digest: SHA-256 over shapes, pixels and labels of both splits, as hex.
    """

    name: str
    family: str
    class_names: tuple[str, ...]
    train: Split
    test: Split
    digest: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """How to load a dataset.

    data_dir: the one folder that holds all downloaded data.
    download: fetch what is missing; without it a missing dataset is an error that names the command.
    path: what stands after the colon of `folder:PATH`; empty for every other dataset.
    image_size: side in pixels that `folder:` images are resized to; None keeps their size.
    channels: 1 or 3, what `folder:` images are converted to; None keeps theirs.
    progress: told how far a download is.
    """

    data_dir: Path
    download: bool = False
    path: str = ""
    image_size: int | None = None
    channels: int | None = None
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetEntry:
    """A registered dataset.

    name: the word a user types; `folder` is followed by a colon and a path.
    family: of the networks that take its images (`Dataset.family`); empty where that depends on the images.
    summary: one line for `bench list`.
    source: paper section or address.
    megabytes: size of the download; 0 where nothing is downloaded.
    load: reads it; raises `DataError` where data are missing or damaged, `RequestError` where options do
        not fit.
    """

    name: str
    family: str = ""
    summary: str
    source: str
    megabytes: int
    load: Callable[[LoadRequest], Dataset]


def digest_of(train: Split, test: Split) -> str:
    """SHA-256 over shapes, pixels and labels of both splits, as hex."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(repr(tuple(split.pixels.shape)).encode())
        digest.update(split.pixels.contiguous().numpy().data)
        digest.update(split.labels.contiguous().numpy().data)
    return digest.hexdigest()
