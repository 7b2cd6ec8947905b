"""Attacks that the doctor makes: PGD of one budget or another on a few images, each made once for all checks."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attacks.contract import AttackEntry, craft
from attacks.draws import Draws
from attacks.goal import Goal
from attacks.pgd import PGD, PgdConfig
from bench.metrics.changes import mcnemar
from bench.metrics.rates import rate
from bench.sanity.contract import LEVEL, Case

MOST_IMAGES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Of PGD: epsilon and step_size in pixel units, steps of a restart, restarts."""

    epsilon: float
    step_size: float
    steps: int
    restarts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """What an attack did to the doctor's m images.

    success: (m,) bool on the CPU, misclassified in the end.
    margin: (m, steps) float32, the goal's margin at every step; NaN where it was not looked at.
    images: (m, c, h, w) float32 in [0, 1].
    """

    success: Tensor
    margin: Tensor
    images: Tensor


def examined(case: Case) -> Tensor:
    """(m,) int64 on the CPU, places of the first images of set II that the model gets right."""
    return torch.nonzero(case.correct[case.sample_ids])[:MOST_IMAGES, 0]


def none_right(case: Case) -> str:
    """Why nothing can be attacked; empty when something can."""
    if not len(examined(case)):
        return "the model gets no image of the set right"
    return "" if budget_of(case) else "no L-infinity budget is known for these images"


def takes_steps(case: Case) -> bool:
    """Whether the run's attack takes a given number of steps of one given size in a ball."""
    return all(getattr(case.config, name, None) is not None for name in ("epsilon", "step_size", "steps"))


def budget_of(case: Case) -> Budget | None:
    """The run's own, where its attack takes steps of one size in a ball; else the dataset's."""
    config, threat = case.config, case.threat
    if takes_steps(case):
        return Budget(epsilon=config.epsilon, step_size=config.step_size, steps=config.steps)
    if threat is None:
        return None
    epsilon = getattr(config, "epsilon", threat.epsilon)
    step_size = threat.step_size * epsilon / threat.epsilon
    return Budget(epsilon=epsilon, step_size=step_size, steps=threat.steps)


def known_budget(case: Case) -> Budget:
    """As `budget_of`, for checks that are excused by `none_right`."""
    budget = budget_of(case)
    assert budget is not None
    return budget


def doubled(case: Case) -> Budget:
    """Twice the steps, and no fewer nor longer ones than the dataset's threat has."""
    budget = known_budget(case)
    steps, step_size = 2 * budget.steps, budget.step_size
    if case.threat is not None:
        steps = max(steps, case.threat.steps)
        step_size = min(step_size, max(case.threat.step_size, 2.5 * budget.epsilon / steps))
    return Budget(epsilon=budget.epsilon, step_size=step_size, steps=steps)


def climb(case: Case, budget: Budget) -> Climb:
    """PGD on the examined images, every step taken and traced."""
    return case.once(("climb", budget), lambda: attack_with(case, PGD, _config(budget, "end"), examined(case)))


def broken_by(case: Case, budget: Budget) -> Tensor:
    """(m,) bool, which of the examined images PGD breaks; quicker than `climb`, each image only until it is broken."""

    def attacked() -> Tensor:
        return attack_with(case, PGD, _config(budget, "success"), examined(case), traced=False).success

    return case.once(("broken", budget), attacked)


def _config(budget: Budget, until: str) -> PgdConfig:
    return PgdConfig(
        epsilon=budget.epsilon,
        step_size=budget.step_size,
        steps=budget.steps,
        restarts=budget.restarts,
        until=until,
    )


def attack_with(case: Case, entry: AttackEntry, config: Any, places: Tensor, *, traced: bool = True) -> Climb:
    """An untargeted attack on the images at `places`, (m,) int64 on the CPU."""
    here = places.to(case.images.device)
    goal = Goal(classes=case.labels[here])
    draws = Draws(seed=case.seed, sample_ids=case.sample_ids[places])
    crafted = craft(entry, case.model, case.images[here], goal, config, draws, traced=traced)
    margin = crafted.trace.margin if crafted.trace else torch.zeros(len(places), 0)
    return Climb(success=(crafted.margin > 0).cpu(), margin=margin, images=crafted.images)


def is_beyond(before: Tensor, after: Tensor) -> bool:
    """Whether the successes after, (m,) bool, differ from those before by more than chance.

    Their share lies outside the Wilson interval before, and McNemar's exact test on the same images gives p < 0.05: one
    image more of few is no evidence.
    """
    if mcnemar(int((before & ~after).sum()), int((after & ~before).sum())) >= LEVEL:
        return False
    told = rate(int(before.sum()), len(before))
    share = float(after.float().mean())
    return told.low is not None and told.high is not None and not told.low <= share <= told.high


def named(case: Case, chosen: Tensor) -> tuple[int, ...]:
    """Indices in the test split of the examined images that are chosen, (m,) bool."""
    return tuple(case.sample_ids[examined(case)][chosen].tolist())
