"""What every training loop takes and gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler

from attacks.checks import require_positive
from attacks.pgd import PgdConfig
from defenses.training.state import State


class ImageSource(Protocol):
    """Labelled images that can be asked for by index."""

    @property
    def labels(self) -> Tensor:
        """(n,) int64."""

    def __len__(self) -> int: ...

    def images(self, indices: Tensor | slice) -> Tensor:
        """(m, c, h, w) float32 in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a classifier is trained.

    epochs, batch_size: as usual.
    learning_rate: Adam's; for ER networks the encoder's (eta), from which the others follow.
    schedule: "constant", or "cosine": the learning rates fall to zero along half a cosine over all epochs.
    adversarial: the attack that min-max training trains against; None trains on clean images.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str = "constant"
    adversarial: PgdConfig | None = None

    def __post_init__(self) -> None:
        require_positive("train_learning_rate", self.learning_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSummary:
    """Means over one epoch's batches.

    epoch: counted from 1; epochs: how many there will be.
    losses: by name, means over images.
    accuracy: share of training images classified correctly while the epoch ran.
    """

    epoch: int
    epochs: int
    losses: dict[str, float]
    accuracy: float


class Journal(Protocol):
    """Whoever hears of the epochs of one training, and may keep what they leave so that it can go on later."""

    def resume(self) -> State | None:
        """The state handed over after the last finished epoch, when there is one to go on from."""

    def epoch_done(self, summary: EpochSummary, state: State | None) -> None:
        """Hear of an epoch, in their order.

        Args:
            summary: of the epoch.
            state: all that the training needs to go on after this epoch, see `defenses.training.state`; to be copied
                or written before this returns. None for an epoch that was taken from what `resume` gave.
        """


class NoJournal:
    """Keeps nothing: every training starts at its first epoch."""

    def resume(self) -> None:
        """There is nothing to go on from."""

    def epoch_done(self, summary: EpochSummary, state: State | None) -> None:
        """Nobody listens."""


NO_JOURNAL = NoJournal()


@dataclass(slots=True)
class Meter:
    """Sums over an epoch, kept on the device so that no batch waits for a number to be copied."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    images: int = 0

    def add(self, *, images: int, **values: Tensor) -> None:
        """Add a batch of `images` images; each value is its mean over the batch, a scalar."""
        self.images += images
        for name, value in values.items():
            weighted = value.detach().to(torch.float64) * images
            self.sums[name] = self.sums.get(name, torch.zeros_like(weighted)) + weighted

    def summary(self, epoch: int, epochs: int) -> EpochSummary:
        """The epoch's means; `accuracy` must be among the values added."""
        means = {name: float(total) / max(1, self.images) for name, total in self.sums.items()}
        return EpochSummary(epoch=epoch, epochs=epochs, accuracy=means.pop("accuracy"), losses=means)


def shuffled_batches(count: int, batch_size: int, generator: Generator) -> Iterator[Tensor]:
    """Indices 0..count-1 in random order, `batch_size` at a time; the last may be shorter but never one image."""
    order = torch.randperm(count, generator=generator)
    for batch in order.split(batch_size):
        if len(batch) > 1 or count == 1:  # batch normalization has no variance of a single image
            yield batch


@contextmanager
def held_channels_last(network: nn.Module) -> Iterator[None]:
    """Hold a network on a CPU channels-last for the block: MNIST's baseline trains in 0.8 of the time.

    Numbers are equal to rounding. Afterwards the layout is PyTorch's usual one, as when weights are read from a file,
    so that a network gives the same logits the first time and later.
    """
    on_cpu = next(network.parameters()).device.type == "cpu"
    if on_cpu:
        network.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        if on_cpu:
            network.to(memory_format=torch.contiguous_format)


def make_schedule(optimizer: Optimizer, config: TrainingConfig) -> LRScheduler:
    """The schedule of learning rates, to be stepped once an epoch."""
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=config.epochs)
    return ConstantLR(optimizer, factor=1.0)


def accuracy_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of (n, classes) logits whose largest is at the label, a float scalar."""
    return (logits.argmax(dim=1) == labels).float().mean()
