"""A grid of runs: every combination of the listed options, each option going to the cells that take it."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from attacks.errors import RequestError
from attacks.registry import ATTACKS
from bench.adversaries import attack_under, nothing_left, with_attack
from bench.options import REQUEST_OPTIONS
from bench.request import DETECTORS_ONLY, Request, check_request, not_taken, options_taken
from defenses.classifiers.user_model import USER_MODEL
from defenses.contract import DetectorEntry
from defenses.registry import DEFENSES

USER_MODELS_ONLY = {"model", "weights"}
TRAINING = {"recipe", "n_train"}  # what a user's model, which comes trained, does not take


def expand(values: Mapping[str, Sequence[Any]]) -> list[Request]:
    """All cells of a grid, in the order the options are listed, without repetitions.

    Args:
        values: by option name, the values asked for; absent options take their defaults. `defense` and `attack`
            must be there.

    Raises:
        RequestError: a value does not fit, or no cell of the grid takes an option.
    """
    values = with_attack(_with_user_model(values))
    for name in ("defense", "attack"):
        if not values.get(name):
            raise RequestError(f"--{name} is needed; `bench list {name}s` shows what there is")
    cells: list[Request] = []
    used: set[str] = set()
    for combination in product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        attack = attack_under(chosen.pop("threat", None), chosen["defense"], chosen["attack"])
        if attack is None:
            continue
        chosen["attack"] = attack
        taken = taken_options(chosen["defense"], chosen["attack"])
        used |= taken & set(chosen)
        request = as_request({name: value for name, value in chosen.items() if name in taken})
        if request not in cells:
            check_request(request)
            cells.append(request)
    if not cells:
        raise nothing_left(values)
    for name in values:
        if name not in used | {"threat"}:
            by = " or ".join(f"{defense} with {attack}" for defense in values["defense"] for attack in values["attack"])
            if name in DETECTORS_ONLY:
                raise RequestError(f"--{name.replace('_', '-')} is for detectors; {by} runs a bare classifier")
            raise RequestError(not_taken(name, by, _all_taken(values)))
    return cells


def taken_options(defense_name: str, attack_name: str) -> set[str]:
    """Names of all options, of the request and of its parts, that a cell takes."""
    defense, attack = DEFENSES.get(defense_name), ATTACKS.get(attack_name)
    taken = options_taken(defense, attack.config) | REQUEST_OPTIONS
    taken -= TRAINING if defense is USER_MODEL else USER_MODELS_ONLY
    return taken if isinstance(defense, DetectorEntry) else taken - set(DETECTORS_ONLY)


def _with_user_model(values: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    """`--model` says that the defense is the user's own; no other goes with it."""
    if not values.get("model"):
        if values.get("weights"):
            raise RequestError("--weights needs --model FILE.py:FACTORY, which says what they belong to")
        return values
    defenses = values.get("defense") or [USER_MODEL.name]
    if list(defenses) != [USER_MODEL.name]:
        raise RequestError(f"--model is a defense of its own; leave --defense {','.join(defenses)} out")
    return dict(values) | {"defense": defenses}


def _all_taken(values: Mapping[str, Sequence[Any]]) -> set[str]:
    return {
        name
        for defense, attack in product(values["defense"], values["attack"])
        for name in options_taken(DEFENSES.get(defense), ATTACKS.get(attack).config)
    }


def as_request(chosen: Mapping[str, Any]) -> Request:
    """The request whose fields and options are named together, with underscores."""
    fields = {name: value for name, value in chosen.items() if name in REQUEST_OPTIONS}
    options = {name: value for name, value in chosen.items() if name not in REQUEST_OPTIONS}
    return Request(**fields, options=options)
