"""A grid of runs: every combination of the listed options, each option going to the cells that take it."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from attacks.errors import RequestError
from attacks.registry import ATTACKS
from bench.options import REQUEST_OPTIONS
from bench.request import DETECTORS_ONLY, Request, check_request, not_taken, options_taken
from defenses.contract import DetectorEntry
from defenses.registry import DEFENSES


def expand(values: Mapping[str, Sequence[Any]]) -> list[Request]:
    """All cells of a grid, in the order the options are listed, without repetitions.

    Args:
        values: by option name, the values asked for; absent options take their defaults. `defense` and `attack`
            must be there.

    Raises:
        RequestError: a value does not fit, or no cell of the grid takes an option.
    """
    for name in ("defense", "attack"):
        if not values.get(name):
            raise RequestError(f"--{name} is needed; `bench list {name}s` shows what there is")
    cells: list[Request] = []
    used: set[str] = set()
    for combination in product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        taken = _taken(chosen)
        used |= taken & set(chosen)
        request = _request({name: value for name, value in chosen.items() if name in taken})
        if request not in cells:
            check_request(request)
            cells.append(request)
    for name in values:
        if name not in used:
            by = " or ".join(f"{defense} with {attack}" for defense in values["defense"] for attack in values["attack"])
            if name in DETECTORS_ONLY:
                raise RequestError(f"--{name.replace('_', '-')} is for detectors; {by} runs a bare classifier")
            raise RequestError(not_taken(name, by, _all_taken(values)))
    return cells


def _taken(chosen: Mapping[str, Any]) -> set[str]:
    defense, attack = DEFENSES.get(chosen["defense"]), ATTACKS.get(chosen["attack"])
    taken = options_taken(defense, attack.config) | REQUEST_OPTIONS
    return taken if isinstance(defense, DetectorEntry) else taken - set(DETECTORS_ONLY)


def _all_taken(values: Mapping[str, Sequence[Any]]) -> set[str]:
    return {
        name
        for defense, attack in product(values["defense"], values["attack"])
        for name in options_taken(DEFENSES.get(defense), ATTACKS.get(attack).config)
    }


def _request(chosen: Mapping[str, Any]) -> Request:
    fields = {name: value for name, value in chosen.items() if name in REQUEST_OPTIONS}
    options = {name: value for name, value in chosen.items() if name not in REQUEST_OPTIONS}
    return Request(**fields, options=options)
