"""A run spec from the JSON that a record keeps of it: complete as it stands, no default is filled in."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from attacks.errors import DataError, RequestError
from attacks.registry import ATTACKS
from bench.canonical import plain
from bench.request import CHOICES
from bench.spec import ClassifierSpec, DetectorSpec, RunSpec
from defenses.classifiers.user_model import USER_MODEL, UserModelConfig
from defenses.contract import BuildRequest, ClassifierEntry, DetectorEntry
from defenses.registry import DEFENSES


def read_spec(body: Any) -> RunSpec:
    """The spec whose plain JSON is `body`.

    Raises:
        DataError: it is none, or of a version whose attacks or defenses have other settings than this one's.
    """
    try:
        spec = _run_spec(body)
    except (RequestError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(f"its spec cannot be read by this version: {error}") from error
    if plain(spec) != body:
        raise DataError("its spec lacks settings that this version's attacks and defenses have")
    return spec


def _run_spec(body: Mapping[str, Any]) -> RunSpec:
    attack = ATTACKS.get(body["attack"])
    classifier, detector = body["classifier"], body["detector"]
    parts = {
        "classifier": _fill(ClassifierSpec, classifier, {"config": _classifier_config(classifier)}),
        "attack_config": _fill(attack.config, body["attack_config"]),
        "detector": None if detector is None else _detector(detector),
    }
    spec: RunSpec = _fill(RunSpec, body, parts)
    chosen = {"protocol": spec.protocol, "precision": spec.precision}
    chosen |= {"counted": spec.detector.counted, "class_weight": spec.detector.class_weight} if spec.detector else {}
    for name, value in chosen.items():
        if value not in CHOICES[name]:
            raise ValueError(f"unknown {name} '{value}'")
    return spec


def _detector(body: Mapping[str, Any]) -> DetectorSpec:
    entry = DEFENSES.get(body["name"])
    if not isinstance(entry, DetectorEntry):
        raise TypeError(f"{entry.name} is no detector")
    attack = ATTACKS.get(body["train_attack"])
    parts = {
        "config": _fill(entry.config, body["config"]),
        "train_attack_config": _fill(attack.config, body["train_attack_config"]),
    }
    detector: DetectorSpec = _fill(DetectorSpec, body, parts)
    return detector


def _classifier_config(body: Mapping[str, Any]) -> Any:
    entry = DEFENSES.get(body["name"])
    if not isinstance(entry, ClassifierEntry):
        raise TypeError(f"{entry.name} is no classifier")
    if entry.name == USER_MODEL.name:
        return _fill(UserModelConfig, body["config"])
    example = entry.configure(BuildRequest(family=body["family"], recipe="quick", options={}))
    return _fill(type(example), body["config"])


def _fill(kind: Any, body: Any, parts: Mapping[str, Any] | None = None) -> Any:
    """A dataclass from JSON, field by field with its type; `parts` are fields that are read already."""
    if not isinstance(body, Mapping):
        raise TypeError(f"{kind.__name__} must be an object")
    hints, parts = get_type_hints(kind), parts or {}
    if unknown := sorted(set(body) - set(hints)):
        raise TypeError(f"{kind.__name__} has no '{unknown[0]}'")
    values = {name: _read(hints[name], value, name) for name, value in body.items() if name not in parts}
    return kind(**values, **parts)


def _read(kind: Any, value: Any, name: str) -> Any:
    """A value of the annotated type `kind`."""
    if get_origin(kind) in (Union, UnionType):
        if value is None and NoneType in get_args(kind):
            return None
        (kind,) = [option for option in get_args(kind) if option is not NoneType]
    if is_dataclass(kind):
        return _fill(kind, value)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_read(get_args(kind)[0], item, name) for item in value)
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"'{name}' must be {kind.__name__}")
    return value
