"""Attacks that know less must not find more: Square, transferred images and random points against PGD, image by image.

Sources: Athalye et al. 2018, arXiv:1802.00420, section 3.1; Carlini et al. 2019, arXiv:1902.06705, section 4.
"""

from dataclasses import replace

import torch
from torch import Tensor

from attacks.noise import NOISE, NoiseConfig
from attacks.pgd import PGD, PgdConfig
from attacks.precision import running_in
from attacks.square import SQUARE, SquareConfig
from bench.sanity.climbs import Budget, attack_with, broken_by, doubled, examined, is_beyond, known_budget, none_right
from bench.sanity.contract import DOCTOR, Case, Check, Evidence

QUERIES = 500  # of Square, an image
POINTS = 1000  # random ones in the ball, an image


def _black_box(case: Case) -> Evidence | None:
    """Only images that white-box attacks leave standing are tried, since only these can tell."""
    budget = known_budget(case)
    white = broken_by(case, budget) | broken_by(case, doubled(case)) | broken_by(case, replace(budget, restarts=2))
    left = examined(case)[~white]
    for name, broken in _attacks(case, budget, left):
        either = white.clone()
        either[~white] |= broken
        if is_beyond(white, either):
            return Evidence(
                sentence=f"of {len(left)} images that PGD leaves standing {int(broken.sum())} fall to {name} "
                f"({int(white.sum())} of {len(white)} fell to PGD)",
                images=tuple(case.sample_ids[left][broken].tolist()),
                numbers={
                    "black_box_only": float(broken.sum()),
                    "white_box": float(white.sum()),
                    "n": float(len(white)),
                },
            )
    return None


def _attacks(case: Case, budget: Budget, left: Tensor) -> list[tuple[str, Tensor]]:
    """By name, which of the images at `left`, (m,) int64, it breaks: (m,) bool on the CPU."""
    if len(left) == 0:
        return []
    noise = NoiseConfig(epsilon=budget.epsilon, restarts=POINTS)
    square = SquareConfig(epsilon=budget.epsilon, queries=QUERIES, until="success")
    tried = [
        ("Square", attack_with(case, SQUARE, square, left, traced=False).success),
        (f"{POINTS} random points", attack_with(case, NOISE, noise, left, traced=False).success),
    ]
    if case.surrogate is not None:
        tried.append(("images transferred from `standard`", _transferred(case, budget, left)))
    return tried


def _transferred(case: Case, budget: Budget, left: Tensor) -> Tensor:
    assert case.surrogate is not None
    config = PgdConfig(epsilon=budget.epsilon, step_size=budget.step_size, steps=budget.steps)
    images = attack_with(replace(case, model=case.surrogate), PGD, config, left, traced=False).images
    with torch.no_grad(), running_in("float32", images.device):
        predictions: Tensor = case.model(images).argmax(dim=1)
    return (predictions != case.labels[left.to(images.device)]).cpu()


BLACK_BOX = Check(
    name="black-box-wins",
    summary="Square, transferred images or random points break images that PGD leaves standing",
    source="Athalye et al. 2018, arXiv:1802.00420, section 3.1; arXiv:1902.06705, section 4",
    advice="Report the attack that wins, and look for what hides the gradients from the one that should.",
    find=_black_box,
    excused=none_right,
    cost=DOCTOR,
)
CHECKS = (BLACK_BOX,)
