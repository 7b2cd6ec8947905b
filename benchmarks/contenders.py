"""Who is compared in `benchmarks/attacks.py`, on what, and how their turns are timed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attacks.backends.registry import BACKENDS
from attacks.contract import AttackEntry, craft
from attacks.draws import Draws
from attacks.goal import Goal
from bench.pipeline import open_studio
from bench.sweep import plan
from bench.workspace import Workspace

BATCH = 100
Contender = Callable[[], Tensor]
"""() -> adversarial images (n, c, h, w) on the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model and images that it gets right. name: in words; model: frozen, in eval mode; the rest on its device."""

    name: str
    model: nn.Module
    images: Tensor
    labels: Tensor

    def batches(self, size: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(images, labels, ids) of `size` images at a time."""
        ids = torch.arange(len(self.images))
        return list(zip(self.images.split(size), self.labels.split(size), ids.split(size), strict=True))


def subject(defense: str, count: int, workspace: Workspace) -> Subject:
    """A classifier of the harness (trained on MNIST, recipe quick, or found in the store) and `count` right images."""
    values = {"dataset": ["mnist"], "defense": [defense], "attack": ["pgd"]}
    (cell,) = plan(values, workspace)
    studio = open_studio(cell, workspace)
    ids = torch.nonzero(studio.correct).flatten()[:count]
    clean = studio.clean("test", ids)
    labels = clean.labels.to(workspace.device)
    return Subject(name=defense, model=studio.fitted.classifier, images=clean.images, labels=labels)


def ours(
    entry: AttackEntry, config: Any, of: Subject, precision: str = "float32", backend: str = "native", size: int = BATCH
) -> Contender:
    """An attack of the registry, by whichever backend."""
    entry = entry.by(BACKENDS.get(backend).attack(entry.name, entry.attack))

    def run() -> Tensor:
        crafted = [
            craft(
                entry,
                of.model,
                images,
                Goal(classes=labels),
                config,
                Draws(seed=0, sample_ids=ids),
                precision=precision,
            )
            for images, labels, ids in of.batches(size)
        ]
        return torch.cat([batch.images for batch in crafted])

    return run


def art_classifier(model: nn.Module, device: torch.device, *, fused: bool = False) -> Any:
    """A model as ART wants it; a CPU model stays on the CPU."""
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused),
        input_shape=(1, 28, 28),
        nb_classes=10,
        clip_values=(0.0, 1.0),
        device_type="gpu" if device.type == "cuda" else "cpu",
    )


def by_art(attack: Any, of: Subject) -> Contender:
    """An ART attack, told its labels; it batches by itself, `BATCH` images at a time."""
    images, labels = of.images.cpu().numpy(), np.eye(10, dtype=np.float32)[of.labels.cpu().numpy()]
    return lambda: torch.from_numpy(attack.generate(x=images, y=labels)).to(of.images.device)


def interleaved(contenders: Mapping[str, Contender], repeats: int) -> dict[str, tuple[list[float], Tensor]]:
    """Seconds of every repetition and the last images, by contender; all take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    images: dict[str, Tensor] = {}
    for _ in range(repeats):
        for name, contender in contenders.items():
            start = time.perf_counter()
            images[name] = contender()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
            print(f"  {name}: {seconds[name][-1]:.2f} s", flush=True)
    return {name: (seconds[name], images[name]) for name in contenders}


def margins(of: Subject, images: Tensor) -> Tensor:
    """Margins of leaving the true class, (n,) float32, measured again in float32."""
    with torch.inference_mode():
        return torch.cat(
            [
                Goal(classes=labels).margin(of.model(part))
                for part, labels in zip(images.split(BATCH), of.labels.split(BATCH), strict=True)
            ]
        )


def spread(seconds: list[float]) -> str:
    """Range of the repetitions."""
    return f"{min(seconds):.1f}-{max(seconds):.1f}"
