"""The images themselves: test images that were trained on, and robustness that the data do not allow.

Sources: Carlini et al. 2019, arXiv:1902.06705, section 4; Yang et al. 2020, arXiv:2003.02460 (r-separation).
"""

import torch
from torch import Tensor

from bench.datasets.contract import Split
from bench.metrics.rates import rate
from bench.outcomes import select
from bench.sanity.contract import DOCTOR, Case, Check, Evidence

MOST_IMAGES = 50  # whose nearest training image of another class is sought
MOST_STANDING = 0.5  # of two images so near, a classifier can be right all around at most one
PART = 2000  # training images compared at once


def _seen(case: Case) -> Evidence | None:
    """Equal images have equal sums, which are quick; only images with equal sums are compared."""
    if case.train.pixels.shape[1:] != case.test.pixels.shape[1:]:
        return None
    known, own = _sums(case.train), _sums(case.test.take(case.sample_ids))
    rows = [
        sample_id
        for sample_id, total in zip(case.sample_ids.tolist(), own.tolist(), strict=True)
        if bool((case.train.pixels[known == total] == case.test.pixels[sample_id]).flatten(1).all(dim=1).any())
    ]
    if not rows:
        return None
    return Evidence(
        sentence=f"{len(rows)} of {len(case.sample_ids)} test images are, pixel by pixel, among the training images",
        images=tuple(rows),
        numbers={"images": float(len(rows)), "n": float(len(case.sample_ids))},
    )


def _sums(split: Split) -> Tensor:
    """(n,) int64: of all pixels of an image."""
    return split.pixels.flatten(1).sum(dim=1, dtype=torch.int64)


def _separation(case: Case) -> Evidence | None:
    epsilon = case.config.epsilon
    attacked = select(case.outcomes, kind="adversarial")[:MOST_IMAGES]
    ids = torch.tensor(attacked["sample_id"].tolist(), dtype=torch.int64)
    beyond = _nearest_other(case.train, case.test.images(ids), case.test.labels[ids]) < 2 * epsilon  # (m,)
    standing = beyond & torch.tensor(attacked["correct"].tolist(), dtype=torch.bool)
    claimed = rate(int(standing.sum()), int(beyond.sum()))
    if claimed.low is None or claimed.low <= MOST_STANDING:
        return None
    return Evidence(
        sentence=f"for {claimed.n} of {len(ids)} images epsilon {epsilon:g} is more than half of the distance to a "
        f"training image of another class, and {claimed.successes} of them are claimed to withstand it",
        images=tuple(ids[standing].tolist()),
        numbers={"claimed": float(claimed.successes), "beyond": float(claimed.n), "n": float(len(ids))},
    )


def _nearest_other(train: Split, images: Tensor, labels: Tensor) -> Tensor:
    """L-infinity distance of (m, c, h, w) images to the nearest training image of another class: (m,) on the CPU."""
    nearest = torch.full((len(images),), torch.inf)
    for part in torch.arange(len(train)).split(PART):
        known, classes = train.images(part).cpu().flatten(1), train.labels[part].cpu()
        distance = torch.cdist(images.flatten(1), known, p=torch.inf)
        distance[labels[:, None] == classes] = torch.inf
        nearest = torch.minimum(nearest, distance.amin(dim=1))
    return nearest


def _no_ball(case: Case) -> str:
    return "" if hasattr(case.config, "epsilon") else "no L-infinity budget"


SEEN = Check(
    name="seen-in-training",
    summary="test images are exact copies of training images",
    source="Carlini et al. 2019, arXiv:1902.06705, section 4; Barz & Denzler 2020, arXiv:1902.00423",
    advice="Take the copies out of the test or the training split and run again.",
    find=_seen,
    spoils=("clean_accuracy", "robust_accuracy", "acc_nadv", "acc_com"),
)
SEPARATION = Check(
    name="beyond-separation",
    summary="most images withstand more than half their distance to a training image of another class",
    source="Yang et al. 2020, arXiv:2003.02460, section 3",
    advice="Distrust the attack or lower epsilon: around such images no classifier can be right all that far.",
    find=_separation,
    excused=_no_ball,
    cost=DOCTOR,
)
CHECKS = (SEEN, SEPARATION)
