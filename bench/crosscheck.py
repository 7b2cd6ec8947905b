"""One attack by every installed implementation: the same model, images, goals and budget, judged alike.

What a library says of its own success counts for nothing: margin, ball and box are measured here from its images.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Generator, Tensor

from attacks.backends.contract import BackendEntry
from attacks.backends.registry import BACKENDS, NATIVE
from attacks.errors import AttackError, ErbenchError, RequestError
from attacks.registry import ATTACKS
from bench.cell import Cell
from bench.crafted import Crafted
from bench.crafting import CHUNK, attack, require_gradients
from bench.exhibits import Studio
from bench.fitting import FittedClassifier
from bench.judge import Exhibit, judge
from bench.metrics.rates import Rate, rate
from bench.order import Order, Victims
from bench.pipeline import open_studio
from bench.spec import RunSpec
from bench.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """What one implementation made of the images.

    backend, version: whose; error: why it gave nothing, empty when it did.
    reached: of all images, with the confidence asked for; misclassified: of all images, with any margin.
    median_margin: logit units, over those reached; median_l2, mean_l2, median_linf: pixel units, over those reached.
    passes: forward passes an image; seconds: wall time.
    outcomes: one row an image (`bench.outcomes`).
    """

    backend: str
    version: str
    error: str = ""
    reached: Rate | None = None
    misclassified: Rate | None = None
    median_margin: float | None = None
    median_l2: float | None = None
    mean_l2: float | None = None
    median_linf: float | None = None
    passes: float = 0.0
    seconds: float = 0.0
    outcomes: pd.DataFrame | None = None


def crosscheck(cell: Cell, backends: Sequence[str], workspace: Workspace) -> list[Contender]:
    """Run the cell's attack by each backend on test images that the model gets right; nothing is taken from the store.

    Args:
        cell: its defense must be a classifier or a user's model; `n_test` images are attacked.
        backends: registered names; "native" comes first.
        workspace: where models are found and networks run.

    Raises:
        RequestError: the defense is a detector, a backend lacks the attack, or there are too few right images.
        ModelError: the gradients that our own attack asks for all vanish, or the model gives NaN.
    """
    spec = cell.spec
    if spec.detector is not None:
        raise RequestError(f"crosscheck compares attacks on a classifier; '{spec.defense}' is a detector")
    chosen = [BACKENDS.get(name) for name in backends]
    for backend in chosen:  # before anything is trained
        backend.attack(spec.attack, ATTACKS.get(spec.attack).attack)
    studio = open_studio(cell, workspace)
    clean = studio.clean("test", _right_images(studio))
    return [_contender(backend, spec, studio, clean) for backend in chosen]


def choose_backends(attack: str, asked: Sequence[str] | None = None) -> list[str]:
    """Native first, then those asked for, by default every installed backend that has the attack.

    Raises:
        RequestError: there is nothing to compare native with.
    """
    having = [entry for entry in BACKENDS if entry is not NATIVE and attack in entry.attacks]
    if asked is None:
        peers = [entry.name for entry in having if entry.is_installed]
    else:
        peers = [name for name in dict.fromkeys(asked) if name != NATIVE.name]
    if not peers and not having:
        known = dict.fromkeys(name for entry in BACKENDS for name in entry.attacks)
        raise RequestError(f"nothing to compare: no backend but native has {attack}; they have {', '.join(known)}")
    if not peers:
        names = ", ".join(entry.name for entry in having)
        what = "was asked for" if asked else "is installed: pip install 'erbench[backends]'"
        raise RequestError(f"nothing to compare: {attack} is also in {names}, none of which {what}")
    return [NATIVE.name, *peers]


def _right_images(studio: Studio) -> Tensor:
    spec, correct = studio.spec, studio.correct
    order = torch.randperm(len(correct), generator=Generator().manual_seed(spec.seed))
    usable = order[correct[order]]
    if spec.target.isdecimal():
        usable = usable[studio.dataset.test.labels[usable] != int(spec.target)]
    if len(usable) < spec.n_test:
        raise RequestError(f"the model gets {len(usable)} test images right; lower --n-test {spec.n_test}")
    return usable[: spec.n_test]


def _contender(backend: BackendEntry, spec: RunSpec, studio: Studio, clean: Exhibit) -> Contender:
    order = Order(
        attack=spec.attack, config=spec.attack_config, backend=backend.name, precision=spec.precision, seed=spec.seed
    )
    victims = Victims(images=clean.images, sample_ids=clean.sample_ids, goal=studio.goal(clean, spec.target))
    start = time.perf_counter()
    try:
        crafted, passes = _attack(order, studio.fitted, victims, studio.workspace.batch_size)
        seconds = time.perf_counter() - start
        require_gradients(order, studio.fitted, victims, crafted)
        exhibit = Exhibit(
            role="test",
            kind="adversarial",
            sample_ids=clean.sample_ids,
            labels=clean.labels,
            images=crafted.images,
            clean=clean.images,
            goal=victims.goal,
            config=spec.attack_config,
        )
        outcomes = judge(studio.fitted.classifier, None, exhibit)
    except Exception as error:
        if backend is NATIVE and not isinstance(error, AttackError):
            raise
        seconds = time.perf_counter() - start
        message = str(error) if isinstance(error, ErbenchError) else f"{type(error).__name__}: {error}"
        return Contender(backend=backend.name, version=backend.version, error=message, seconds=seconds)
    reached = outcomes[outcomes["reached"]]
    some = len(reached) > 0
    return Contender(
        backend=backend.name,
        version=backend.version,
        reached=rate(len(reached), len(outcomes)),
        misclassified=rate(int((outcomes["margin"] > 0).sum()), len(outcomes)),
        median_margin=float(reached["margin"].median()) if some else None,
        median_l2=float(reached["l2"].median()) if some else None,
        mean_l2=float(reached["l2"].mean()) if some else None,
        median_linf=float(reached["linf"].median()) if some else None,
        passes=passes / len(outcomes),
        seconds=seconds,
        outcomes=outcomes,
    )


def _attack(order: Order, fitted: FittedClassifier, victims: Victims, batch_size: int) -> tuple[Crafted, int]:
    """What an implementation makes of all victims, and the forward passes it took; in batches as a run has them."""
    images, vanished, passes = [], [], 0
    for part in torch.arange(len(victims.sample_ids)).split(batch_size if order.is_native else CHUNK):
        crafted = attack(order, fitted, victims.select(part))
        images.append(crafted.images)
        vanished.append(crafted.vanished)
        passes += crafted.passes
    return Crafted(images=torch.cat(images), vanished=torch.cat(vanished)), passes
