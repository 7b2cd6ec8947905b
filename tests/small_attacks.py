"""A small budget for whichever attack is registered, for the tests that run over all of them."""

import dataclasses
from typing import Any

from attacks.contract import AttackEntry

SMALL: dict[str, Any] = {
    "epsilon": 0.1,
    "step_size": 0.05,
    "steps": 3,
    "restarts": 2,
    "search_steps": 2,
    "queries": 10,
    "targets": 2,
    "guides": 1,
    "max_l2": 5.0,
}


def options_of(entry: AttackEntry) -> set[str]:
    """The names of an attack's options."""
    return {field.name for field in dataclasses.fields(entry.config)}


def small_config(entry: AttackEntry, **changes: Any) -> Any:
    """The attack's config with a small budget; `changes` to options that it does not have are left out."""
    return entry.config(**{name: value for name, value in (SMALL | changes).items() if name in options_of(entry)})
