"""FGSM, PGD and C&W of torchattacks.

Source: https://github.com/Harry24k/adversarial-attacks-pytorch, version 3.5.1. Known of it: its C&W tests success
without the confidence, knows one fixed c instead of a search, stops the whole batch at once, and cannot move pixels
of exactly 0 or 1.
"""

from typing import Any

from torch import Tensor

from attacks.backends.contract import BackendEntry, ProbedModule, seeded, worst_of_restarts
from attacks.cw import CwConfig
from attacks.draws import Draws
from attacks.fgsm import FgsmConfig
from attacks.pgd import PgdConfig
from attacks.probe import Probe


def _fgsm(probe: Probe, images: Tensor, config: FgsmConfig, _draws: Draws) -> Tensor:
    import torchattacks

    attack = torchattacks.FGSM(ProbedModule(probe, images.device), eps=config.epsilon)
    return _run(attack, probe, images)


def _pgd(probe: Probe, images: Tensor, config: PgdConfig, draws: Draws) -> Tensor:
    import torchattacks

    model = ProbedModule(probe, images.device)
    attack = torchattacks.PGD(model, eps=config.epsilon, alpha=config.step_size, steps=config.steps)

    def run(restart: int) -> Tensor:
        with seeded(draws, restart, images.device):
            return _run(attack, probe, images)

    return worst_of_restarts(run, probe, images, config.restarts)


def _cw(probe: Probe, images: Tensor, config: CwConfig, _draws: Draws) -> Tensor:
    """All steps of the search at one c, the first."""
    import torchattacks

    attack = torchattacks.CW(
        ProbedModule(probe, images.device),
        c=config.initial_c,
        kappa=config.confidence,
        steps=config.search_steps * config.steps,
        lr=config.learning_rate,
    )
    return _run(attack, probe, images)


def _run(attack: Any, probe: Probe, images: Tensor) -> Tensor:
    if probe.goal.targeted:
        attack.set_mode_targeted_by_label(quiet=True)
    crafted: Tensor = attack(images, probe.goal.classes)
    return crafted


TORCHATTACKS = BackendEntry(
    name="torchattacks",
    summary="torchattacks' fgsm, pgd and cw: pip install 'erbench[backends]'",
    source="Kim 2020, arXiv:2010.01950",
    package="torchattacks",
    attacks={"fgsm": _fgsm, "pgd": _pgd, "cw": _cw},
    ignores={"pgd": frozenset({"until"}), "cw": frozenset({"max_l2"})},
    known={
        "pgd": "it gives back the last iterate, not the worst",
        "cw": "it tests success without the confidence, spends all steps on one c instead of searching it, stops the "
        "whole batch when its summed loss rises once, and cannot move pixels of exactly 0 or 1",
    },
)
