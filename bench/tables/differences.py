"""What sets runs apart that share a name: the settings of their specs that differ."""

from collections.abc import Mapping, Sequence
from typing import Any


def differences(specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each spec (plain JSON), the settings in which it differs from any of the others, "prior cauchy, seed 1"."""
    flat = [_flatten(spec) for spec in specs]
    varying = {key for own in flat for key, value in own.items() if flat[0].get(key) != value}
    varying |= {key for key, value in flat[0].items() if any(other.get(key) != value for other in flat)}
    return [", ".join(dict.fromkeys(f"{_name(key)} {own[key]}" for key in own if key in varying)) for own in flat]


def name_apart(names: Sequence[str], specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names, and where several specs share one, what they differ in, in parentheses."""
    result = list(names)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    for name, twins in places.items():
        for place, text in zip(twins, differences([specs[place] for place in twins]), strict=True):
            result[place] = f"{name} ({text})" if text else name
    return result


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        path = f"{prefix}{key}"
        flat |= _flatten(item, f"{path}.") if isinstance(item, Mapping) else {path: item}
    return flat


def _name(path: str) -> str:
    return path.rpartition(".")[2].replace("_", " ")
