"""Names of runs: what changes a hash and what does not; the one literal hash is SHA-256 of a string spelled here."""

import hashlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from attacks.pgd import PgdConfig
from bench.canonical import HASH_LENGTH, canonical_json, content_hash
from bench.spec import RunSpec
from bench.sweep import plan
from bench.workspace import Workspace


def test_the_spelling_and_its_hash() -> None:
    value = {"b": (1, 2.5), "a": PgdConfig(epsilon=0.3, step_size=0.01, steps=40)}
    spelled = '{"a":{"epsilon":0.3,"restarts":1,"step_size":0.01,"steps":40,"until":"end"},"b":[1,2.5]}'
    assert canonical_json(value) == spelled
    assert content_hash(value) == hashlib.sha256(spelled.encode()).hexdigest()[:HASH_LENGTH]


def test_order_and_kind_of_container_do_not_matter() -> None:
    assert content_hash({"a": [1, 2], "b": None}) == content_hash({"b": None, "a": (1, 2)})
    assert content_hash([1, 2]) != content_hash([2, 1])
    assert content_hash(0.1 + 0.2) != content_hash(0.3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("nan")]}])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        content_hash(value)


def other_than(value: Any) -> Any:
    if isinstance(value, str):
        return value + "x"
    return 1 if value is None else value + 1


def variants(value: Any) -> list[Any]:
    """The same dataclass with one field changed, for every field, also of the dataclasses within."""
    changed = []
    for field in fields(value):
        held = getattr(value, field.name)
        if field.name in {"config", "classifier", "detector", "attack_config", "train_attack_config"}:
            changed += [replace(value, **{field.name: inner}) for inner in within(held)]
        else:
            changed.append(replace(value, **{field.name: other_than(held)}))
    return changed


def within(config: Any) -> list[Any]:
    if type(config).__name__.endswith("Spec"):
        return variants(config)
    # configs check their ranges, so a plain dict stands in for a changed one: the spelling is the same
    held = {field.name: getattr(config, field.name) for field in fields(config)}
    return [held | {name: f"other than {value}"} for name, value in held.items()]


def test_every_field_is_part_of_the_name(spec: RunSpec) -> None:
    every = [spec, *variants(spec)]
    assert len(every) > 30
    names = [variant.run_id("digest") for variant in every] + [spec.run_id("other digest")]
    assert len(set(names)) == len(names)
    assert replace(spec).run_id("digest") == spec.run_id("digest")


def test_place_and_device_are_not_part_of_it(spec: RunSpec, tmp_path: Path) -> None:
    values = {"defense": ["er1"], "attack": ["cw"], "confidence": [9.0]}
    elsewhere = Workspace(results_dir=tmp_path, data_dir=tmp_path, device=torch.device("meta"))
    (cell,) = plan(values, elsewhere)
    assert cell.spec == spec
    assert "device" not in canonical_json(spec)
    (listed_otherwise,) = plan(dict(reversed(values.items())) | {"seed": [0], "recipe": ["quick"]}, elsewhere)
    assert listed_otherwise.spec.run_id("digest") == spec.run_id("digest")


@dataclass(frozen=True)
class Plain:
    """Stands for a config that another package brings."""

    strength: float = 1.0


def test_words_for_tables(spec: RunSpec) -> None:
    assert spec.confidence == 9
    assert spec.label == "er1 · cw κ=9"
    assert replace(spec, target="3", attack="other", attack_config=Plain()).label == "er1 · other →3"
