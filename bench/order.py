"""What is to be crafted: which images, by which attack, against which detector; and the name of the result."""

import hashlib
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from attacks.backends.registry import BACKENDS, NATIVE
from attacks.contract import AttackEntry
from attacks.goal import Goal
from attacks.registry import ATTACKS
from attacks.watched import Watched
from bench.code_version import code_version
from bench.fitting import FittedClassifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Victims:
    """Images to be attacked.

    images: (n, c, h, w) float32 in [0, 1], on the device; sample_ids: (n,) int64, in the test split, on the CPU.
    goal: of each image.
    """

    images: Tensor
    sample_ids: Tensor
    goal: Goal

    def select(self, indices: Tensor) -> "Victims":
        """Those at `indices`, (m,) int64 on the CPU."""
        here = indices.to(self.images.device)
        return Victims(images=self.images[here], sample_ids=self.sample_ids[indices], goal=self.goal.select(here))


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Classifier and detector for attacks that know both. identity: all that they follow from, for the store."""

    watched: Watched
    identity: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How images are to be attacked: registered attack and its config, backend, precision, seed of random starts."""

    attack: str
    config: Any
    backend: str = "native"
    precision: str = "float32"
    seed: int = 0

    @property
    def entry(self) -> AttackEntry:
        """The attack, as the backend implements it."""
        native = ATTACKS.get(self.attack)
        return native.by(BACKENDS.get(self.backend).attack(self.attack, native.attack))

    @property
    def is_native(self) -> bool:
        """Ours, whose results do not depend on the batch."""
        return self.backend == NATIVE.name

    def code(self) -> str:
        """Version of the code that answers: ours, and the library's where it is not ours alone."""
        return code_version(self.entry.attack) + BACKENDS.get(self.backend).version


def chunk_identity(order: Order, code: str | None, fitted: FittedClassifier, chunk: Victims) -> dict[str, Any]:
    """What crafted images follow from; those of attacks that know the detector from the guard, too."""
    return {
        "code": code,
        "classifier": fitted.key,
        "order": order,
        "sample_ids": chunk.sample_ids.tolist(),
        "images": hashlib.sha256(chunk.images.cpu().contiguous().numpy().tobytes()).hexdigest(),
        "goal_classes": chunk.goal.classes.tolist(),
        "targeted": chunk.goal.targeted,
    }
