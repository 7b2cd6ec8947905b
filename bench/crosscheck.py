"""One attack by every installed implementation: the same model, images, goals and budget, judged alike.

What a library says of its own success counts for nothing: margin, ball and box are measured here from its images.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor

from attacks.backends.contract import BackendEntry
from attacks.backends.registry import BACKENDS, NATIVE
from attacks.errors import AttackError, ErbenchError, RequestError
from attacks.registry import ATTACKS
from bench.cell import Cell
from bench.crafting import CHUNK, Crafted, Order, Victims, attack, require_gradients
from bench.exhibits import Studio
from bench.fitting import FittedClassifier
from bench.judge import Exhibit, judge
from bench.metrics.rates import Rate, rate
from bench.pipeline import open_studio
from bench.spec import RunSpec
from bench.workspace import Workspace

FARTHER = 1.005  # times the peer's distance; what counts as beaten in distance
RESAMPLES = 2000
FEWEST = 10  # images that both reached, below which their distances give no verdict


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Native against one peer, image by image.

    both, neither, only_native, only_peer: images by who reached the goal.
    l2_ratio: median of native's L2 over the peer's where both reached it, with a 95 % bootstrap interval; None for
        attacks inside a ball and for fewer than 10 such images.
    beaten: native is worse beyond its interval, in success or in distance.
    remarks: sentences on what differs beyond the intervals and why.
    """

    peer: str
    both: int
    neither: int
    only_native: int
    only_peer: int
    l2_ratio: tuple[float, float, float] | None
    beaten: bool
    remarks: list[str]


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


def default_backends(attack: str) -> list[str]:
    """Native first, then every installed backend that has the attack."""
    peers = [entry for entry in BACKENDS if entry is not NATIVE and attack in entry.attacks and entry.is_installed]
    return [NATIVE.name, *(entry.name for entry in peers)]


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


def compare(native: Contender, peer: Contender, *, minimizes_l2: bool, attack: str) -> Comparison:
    """Native against a peer on the same images.

    Native counts as beaten when the peer's success lies above the Wilson 95 % interval of native's, or when its own
    distances are larger by more than 0.5 % with 95 % confidence on the images that both reached, at least 10 of
    them.

    Args:
        native: our own contender of a `crosscheck`.
        peer: another one of it.
        minimizes_l2: the attack looks for the smallest L2 distance.
        attack: its name.
    """
    if native.outcomes is None or peer.outcomes is None:
        remarks = [f"{one.backend}: {one.error}" for one in (native, peer) if one.error]
        return Comparison(
            peer=peer.backend,
            both=0,
            neither=0,
            only_native=0,
            only_peer=0,
            l2_ratio=None,
            beaten=native.outcomes is None,
            remarks=remarks,
        )
    ours, theirs = native.outcomes["reached"].to_numpy(), peer.outcomes["reached"].to_numpy()
    both = ours & theirs
    remarks, beaten = _success_remarks(native, peer, attack)
    ratio = None
    if minimizes_l2 and both.sum() >= FEWEST:
        ratio = _median_ratio(native.outcomes["l2"].to_numpy()[both], peer.outcomes["l2"].to_numpy()[both])
    elif minimizes_l2:
        remarks.append(f"too few images to compare distances: both reached {both.sum()}, {FEWEST} are needed")
    if ratio is not None and ratio[1] > FARTHER:
        beaten = True
        remarks.append(f"native's images are farther away than {peer.backend}'s: see the ratio of L2 distances")
    elif ratio is not None and ratio[2] < 1 / FARTHER:
        remarks.append(_explained(f"{peer.backend}'s images are farther away than native's", peer.backend, attack))
    return Comparison(
        peer=peer.backend,
        both=int(both.sum()),
        neither=int((~ours & ~theirs).sum()),
        only_native=int((ours & ~theirs).sum()),
        only_peer=int((theirs & ~ours).sum()),
        l2_ratio=ratio,
        beaten=beaten,
        remarks=remarks,
    )


def _success_remarks(native: Contender, peer: Contender, attack: str) -> tuple[list[str], bool]:
    ours, theirs = native.reached, peer.reached
    assert ours is not None
    assert theirs is not None
    assert theirs.value is not None
    assert ours.high is not None
    assert ours.low is not None
    if theirs.value > ours.high:
        return [f"{peer.backend} reaches the goal more often than native, beyond native's interval"], True
    if theirs.value < ours.low:
        return [
            _explained(f"{peer.backend} reaches the goal less often, beyond the interval", peer.backend, attack)
        ], False
    return [], False


def _explained(observed: str, backend: str, attack: str) -> str:
    known = BACKENDS.get(backend).known.get(attack)
    return f"{observed}: {known}" if known else observed


def _median_ratio(
    ours: "np.ndarray[tuple[int], np.dtype[np.float64]]", theirs: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> tuple[float, float, float] | None:
    """Median of the ratios with a percentile bootstrap 95 % interval; images at distance 0 are left out."""
    usable = (theirs > 0) & (ours > 0)
    if not usable.any():
        return None
    ratios = ours[usable] / theirs[usable]
    picks = np.random.default_rng(0).integers(len(ratios), size=(RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[picks], axis=1), [2.5, 97.5])
    return float(np.median(ratios)), float(low), float(high)
