"""Random numbers that belong to an image, not to its place in a batch.

Every draw comes from (seed, stream, image index, round) alone, so that results do not depend on batch size, order or
sharding. Streams keep uses apart: two attacks with one seed share no numbers.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The randomness of a batch of images.

    seed: the run's seed.
    sample_ids: (n,) int64, each image's index in its dataset split.
    """

    seed: int
    sample_ids: Tensor

    def uniform(self, stream: str, shape: tuple[int, ...], *, round_: int = 0) -> Tensor:
        """(n, *shape) float32 uniform in [0, 1), on the CPU; `round_` numbers repeated draws (restarts)."""
        return self._draw(lambda generator: generator.random(shape, dtype=np.float32), stream, round_)

    def normal(self, stream: str, shape: tuple[int, ...], *, round_: int = 0) -> Tensor:
        """(n, *shape) float32 standard normal, on the CPU; `round_` numbers repeated draws."""
        return self._draw(lambda generator: generator.standard_normal(shape, dtype=np.float32), stream, round_)

    def integers(self, stream: str, high: int) -> Tensor:
        """(n,) int64 uniform in [0, high)."""
        return self._draw(lambda generator: np.asarray(generator.integers(high)), stream, 0)

    def select(self, indices: Tensor) -> "Draws":
        """The draws of the images at `indices`, an (m,) int64 or (n,) bool tensor."""
        return Draws(seed=self.seed, sample_ids=self.sample_ids[indices.to(self.sample_ids.device)])

    def _draw(self, draw: Callable[[np.random.Generator], NDArray[np.generic]], stream: str, round_: int) -> Tensor:
        key = zlib.crc32(stream.encode())  # a stable number for the stream's name, unlike hash()
        rows = [
            draw(np.random.default_rng((self.seed, key, int(sample_id), round_)))
            for sample_id in self.sample_ids.tolist()
        ]
        none = draw(np.random.default_rng(0))[None][:0]  # no images still have a shape and a kind
        return torch.from_numpy(np.stack(rows) if rows else none)
