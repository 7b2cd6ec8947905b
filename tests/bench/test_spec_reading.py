"""Specs read back from the JSON of records: the same spec, or a refusal in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from class_means import bring
from small_runs import planned

from attacks.errors import DataError
from bench.canonical import plain
from bench.spec import RunSpec
from bench.verification.spec_reading import read_spec


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"defense": "standard", "attack": "pgd"},
        {"defense": "er-classifier-at", "attack": "fgsm", "prior": "cauchy"},  # a config within a config
        {"defense": "lid", "neighbors": 5, "train_attack": "pgd", "noise_l2": 1.5},
        {"defense": "kd", "bandwidth": 1.0, "confidence": 9.0, "max_l2": 3.0},
        {"defense": "kd", "density": "linear", "class_weight": "balanced"},
        {"defense": "er-classifier-at", "train_epsilon": 0.1, "train_learning_rate": 0.002, "head_rate": 0.5},
        {"defense": "standard", "attack": "auto", "target": "3"},
    ],
)
def test_a_spec_comes_back_as_it_was(tmp_path: Path, values: dict[str, Any]) -> None:
    spec = planned(tmp_path, **values)
    read = read_spec(json.loads(json.dumps(plain(spec))))
    assert read == spec
    assert read.run_id("digest") == spec.run_id("digest")


def test_a_users_model_comes_back_without_its_file(tmp_path: Path) -> None:
    _, model, _, weights = bring(tmp_path / "mine")
    spec = planned(tmp_path, defense="model", model=model, weights=weights, attack="fgsm", epsilon=0.1)
    (tmp_path / "mine" / "mine.py").unlink()
    assert read_spec(json.loads(json.dumps(plain(spec)))) == spec


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda body: body.update(attack="pgdd"), "did you mean 'pgd'"),
        (lambda body: body.update(n_test="20"), "'n_test' must be int"),
        (lambda body: body.update(n_test=True), "'n_test' must be int"),
        (lambda body: body.update(n_test=None), "'n_test' must be int"),
        (lambda body: body.update(more=1), "RunSpec has no 'more'"),
        (lambda body: body.pop("seed"), "seed"),
        (lambda body: body.update(protocol="lenient"), "unknown protocol 'lenient'"),
        (lambda body: body["detector"].update(counted="some"), "unknown counted 'some'"),
        (lambda body: body["detector"].update(class_weight="some"), "unknown class_weight 'some'"),
        (lambda body: body["detector"].pop("class_weight"), "class_weight"),
        (lambda body: body["detector"]["config"].update(density="some"), "unknown density 'some'"),
        (lambda body: body["attack_config"].update(confidence=-1.0), "confidence must be"),
        (lambda body: body["attack_config"].update(confidence=[1.0]), "'confidence' must be float"),
        (lambda body: body["classifier"].update(name="er1"), "er1 is no classifier"),
        (lambda body: body["detector"].update(name="standard"), "standard is no detector"),
        (lambda body: body["classifier"].update(config=3), "must be an object"),
        (lambda body: body["attack_config"].pop("steps"), "lacks settings that this version's attacks"),
    ],
)
def test_what_is_no_spec_of_this_version_is_refused(
    spec: RunSpec, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    body = json.loads(json.dumps(plain(spec)))
    change(body)
    with pytest.raises(DataError, match="its spec ") as caught:
        read_spec(body)
    assert says in str(caught.value)


@pytest.mark.parametrize("body", [None, [], "spec", {}])
def test_what_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(DataError, match="its spec cannot be read by this version"):
        read_spec(body)
