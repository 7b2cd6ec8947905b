"""The L-infinity budget that each kind of image is attacked with when none is given.

Sources: supplement Table 1 (epsilon, iterations); [A] the author's code (step sizes); [D] digits as MNIST, and Tiny
ImageNet's step.
"""

from dataclasses import MISSING, dataclass, fields
from typing import Any

from attacks.contract import AttackEntry
from attacks.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """epsilon, step_size in pixel units; steps of an iterated attack."""

    epsilon: float
    step_size: float
    steps: int


THREATS = {
    "digits": Threat(epsilon=0.3, step_size=0.01, steps=40),
    "mnist": Threat(epsilon=0.3, step_size=0.01, steps=40),
    "cifar10": Threat(epsilon=0.03, step_size=0.01, steps=20),
    "stl10": Threat(epsilon=0.03, step_size=0.0078, steps=20),
    "tiny-imagenet": Threat(epsilon=0.01, step_size=0.0025, steps=10),
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
