"""The budgets that each kind of image is attacked with when none is given.

Sources: supplement Table 1 (epsilon, iterations); [A] the author's code (step sizes); [D] digits as MNIST, Tiny
ImageNet's step, and the L2 budget: epsilon sqrt(d / 3) for d pixel values, the size of uniform noise in the
L-infinity ball.
"""

from dataclasses import MISSING, dataclass, fields
from typing import Any

from attacks.contract import AttackEntry
from attacks.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """epsilon, step_size, max_l2 in pixel units; steps of an iterated attack."""

    epsilon: float
    step_size: float
    steps: int
    max_l2: float


THREATS = {
    "digits": Threat(epsilon=0.3, step_size=0.01, steps=40, max_l2=4.85),
    "mnist": Threat(epsilon=0.3, step_size=0.01, steps=40, max_l2=4.85),
    "cifar10": Threat(epsilon=0.03, step_size=0.01, steps=20, max_l2=0.96),
    "stl10": Threat(epsilon=0.03, step_size=0.0078, steps=20, max_l2=2.88),
    "tiny-imagenet": Threat(epsilon=0.01, step_size=0.0025, steps=10, max_l2=0.64),
}


def attack_config(entry: AttackEntry, family: str, options: dict[str, Any]) -> Any:
    """An attack's config: the given options over the family's threat over the attack's own defaults.

    Raises:
        RequestError: a value is out of range, or an option has no default for this family.
    """
    defaults = {field.name: field.default for field in fields(entry.config)}
    threat = THREATS.get(family)
    values = {}
    for name, default in defaults.items():
        if name in options:
            values[name] = options[name]
        elif hasattr(threat, name) and default is MISSING:
            values[name] = getattr(threat, name)
    missing = [name for name, default in defaults.items() if name not in values and default is MISSING]
    if missing:
        raise RequestError(f"{entry.name} on this dataset needs --{missing[0].replace('_', '-')}")
    return entry.config(**values)
