"""What sets runs apart that share a name: the settings of their specs that differ."""

from collections.abc import Mapping, Sequence
from typing import Any


def differences(specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each spec (plain JSON), the settings in which it differs from any of the others, "prior cauchy, seed 1"."""
    flat = [_flatten(spec) for spec in specs]
    texts = []
    for own in flat:
        differing = {key: value for key, value in own.items() if any(other.get(key) != value for other in flat)}
        texts.append(", ".join(dict.fromkeys(f"{_name(key)} {value}" for key, value in differing.items())))
    return texts


def name_apart(names: Sequence[str], specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names, and where several specs share one, what they differ in, in parentheses."""
    result = list(names)
    for name in set(names):
        twins = [place for place, other in enumerate(names) if other == name]
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
