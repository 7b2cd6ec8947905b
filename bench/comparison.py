"""Native against another implementation, image by image: who reached the goal, and how far its images moved."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from attacks.backends.registry import BACKENDS
from bench.crosscheck import Contender

FARTHER = 1.005  # times the peer's distance; what counts as beaten in distance
RESAMPLES = 2000
FEWEST = 10  # images that both reached, below which their distances give no verdict

Distances = NDArray[np.float64]
"""(n,) L2 distances in pixel units."""
Ratio = tuple[float, float, float]
"""A ratio and the ends of its 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Native against one peer, image by image.

    both, neither, only_native, only_peer: images by who reached the goal.
    l2_ratio: native's median L2 over the peer's, of the images that both reached, with a 95 % bootstrap interval; None
        for attacks inside a ball and for fewer than 10 such images.
    image_ratio: the median of the ratios image by image, likewise.
    beaten: native is worse beyond its interval, in success or in distance.
    remarks: sentences on what differs beyond the intervals and why; notes: on what was not compared.
    """

    peer: str
    both: int
    neither: int
    only_native: int
    only_peer: int
    l2_ratio: Ratio | None = None
    image_ratio: Ratio | None = None
    beaten: bool
    remarks: list[str]
    notes: list[str] = field(default_factory=list)


def compare(native: Contender, peer: Contender, *, minimizes_l2: bool, attack: str) -> Comparison:
    """Native against a peer on the same images.

    Native counts as beaten when the peer's success lies above the Wilson 95 % interval of native's, or when its median
    L2 is larger by more than 0.5 % with 95 % confidence on the images that both reached, at least 10 of them.

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
            beaten=native.outcomes is None,
            remarks=remarks,
        )
    ours, theirs = native.outcomes["reached"].to_numpy(), peer.outcomes["reached"].to_numpy()
    both = ours & theirs
    remarks, beaten = _success_remarks(native, peer, attack)
    ratio, image_ratio, notes = None, None, []
    if minimizes_l2 and both.sum() >= FEWEST:
        distances = [one["l2"].to_numpy()[both] for one in (native.outcomes, peer.outcomes)]
        ratio, image_ratio = _ratio_of_medians(*distances), _median_of_ratios(*distances)
    elif minimizes_l2:
        notes.append(f"distances are not compared: both reached {both.sum()} images, {FEWEST} are needed")
    if ratio is not None and ratio[1] > FARTHER:
        beaten = True
        remarks.append(f"native's images are farther away than {peer.backend}'s: see the ratio of median L2")
    elif ratio is not None and ratio[2] < 1 / FARTHER:
        remarks.append(_explained(f"{peer.backend}'s images are farther away than native's", peer.backend, attack))
    return Comparison(
        peer=peer.backend,
        both=int(both.sum()),
        neither=int((~ours & ~theirs).sum()),
        only_native=int((ours & ~theirs).sum()),
        only_peer=int((theirs & ~ours).sum()),
        l2_ratio=ratio,
        image_ratio=image_ratio,
        beaten=beaten,
        remarks=remarks,
        notes=notes,
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


def _ratio_of_medians(ours: Distances, theirs: Distances) -> Ratio | None:
    """Median over median with a percentile bootstrap 95 % interval, both resampled by the same images."""
    if not np.median(theirs) > 0:
        return None
    picks = _picks(len(ours))
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample may hold distances of 0 alone
        resampled = np.median(ours[picks], axis=1) / np.median(theirs[picks], axis=1)
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return float(np.median(ours) / np.median(theirs)), float(low), float(high)


def _median_of_ratios(ours: Distances, theirs: Distances) -> Ratio | None:
    """Median of the ratios, likewise; images at distance 0 are left out."""
    usable = (theirs > 0) & (ours > 0)
    if not usable.any():
        return None
    ratios = ours[usable] / theirs[usable]
    low, high = np.percentile(np.median(ratios[_picks(len(ratios))], axis=1), [2.5, 97.5])
    return float(np.median(ratios)), float(low), float(high)


def _picks(count: int) -> NDArray[np.int64]:
    """(resamples, count) indices of drawn images."""
    return np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
