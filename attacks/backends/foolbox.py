"""FGSM, PGD and C&W of foolbox.

Source: https://github.com/bethgelab/foolbox, version 3.3.4. Known of it: it tests success again without the
confidence, gives all-zero images where it found nothing, and its C&W stops the whole batch at once.
"""

from typing import Any

import torch
from torch import Tensor

from attacks.backends.contract import BackendEntry, ProbedModule, seeded, worst_of_restarts
from attacks.cw import CwConfig
from attacks.draws import Draws
from attacks.fgsm import FgsmConfig
from attacks.pgd import PgdConfig
from attacks.probe import Probe


def _fgsm(probe: Probe, images: Tensor, config: FgsmConfig, _draws: Draws) -> Tensor:
    import foolbox

    attack = foolbox.attacks.LinfFastGradientAttack()
    if probe.goal.targeted:  # which that one refuses; this is the same step
        attack = foolbox.attacks.LinfPGD(rel_stepsize=1.0, steps=1, random_start=False)
    return _run(attack, probe, images, config.epsilon)


def _pgd(probe: Probe, images: Tensor, config: PgdConfig, draws: Draws) -> Tensor:
    import foolbox

    attack = foolbox.attacks.LinfPGD(abs_stepsize=config.step_size, steps=config.steps)

    def run(restart: int) -> Tensor:
        with seeded(draws, restart, images.device):
            return _run(attack, probe, images, config.epsilon)

    return worst_of_restarts(run, probe, images, config.restarts)


def _cw(probe: Probe, images: Tensor, config: CwConfig, _draws: Draws) -> Tensor:
    import foolbox

    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=config.search_steps,
        steps=config.steps,
        stepsize=config.learning_rate,
        confidence=config.confidence,
        initial_const=config.initial_c,
    )
    crafted = _run(attack, probe, images, None)
    nothing_found = crafted.flatten(1).abs().amax(dim=1) == 0
    return torch.where(nothing_found[:, None, None, None], images, crafted)


def _run(attack: Any, probe: Probe, images: Tensor, epsilon: float | None) -> Tensor:
    """The images before foolbox's own clipping and verdict: both are ours to do."""
    import foolbox

    goal = probe.goal
    model = foolbox.PyTorchModel(ProbedModule(probe, images.device), bounds=(0, 1), device=images.device)
    criterion = (foolbox.criteria.TargetedMisclassification if goal.targeted else foolbox.criteria.Misclassification)(
        goal.classes
    )
    crafted: Tensor = (
        attack.run(model, images, criterion)
        if epsilon is None
        else attack.run(model, images, criterion, epsilon=epsilon)
    )
    return crafted.detach()


FOOLBOX = BackendEntry(
    name="foolbox",
    summary="foolbox's fgsm, pgd and cw: pip install 'erbench[backends]'",
    source="Rauber et al. 2020, JOSS 5(53), 2607",
    package="foolbox",
    attacks={"fgsm": _fgsm, "pgd": _pgd, "cw": _cw},
    ignores={"pgd": frozenset({"until"}), "cw": frozenset({"max_l2"})},
    known={
        "pgd": "it gives back the last iterate, not the worst",
        "cw": "it stops the whole batch when its summed loss stands still, so images depend on each other",
    },
)
