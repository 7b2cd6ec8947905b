"""The Python call: the same run as the command line's, and its own refusals."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attacks.errors import DataError, RequestError
from bench.api import run
from bench.cell import Cell
from bench.spec import RunSpec


@pytest.fixture(autouse=True)
def planned_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end where training would begin; their cells come back in place of records."""

    def cells_alone(cells: Iterable[Cell], _workspace: object) -> list[Cell]:
        return list(cells)

    monkeypatch.setattr("bench.api.sweep", cells_alone)


def planned(**options: Any) -> list[RunSpec]:
    cells: list[Any] = run(**({"defense": "kd", "attack": "cw"} | options))
    return [cell.spec for cell in cells]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"confidence": 20}, {"confidence": 20.0}),
        ({"confidence": "20"}, {"confidence": [20.0]}),
        ({"epochs": 5}, {"epochs": np.int64(5)}),
        ({"bandwidth": 1}, {"bandwidth": 1.0}),
        ({"seed": None, "n_test": None}, {}),
        ({"adversarial_training": False}, {"adversarial_training": "false"}),
    ],
)
def test_equal_requests_are_one_run(one: dict[str, Any], other: dict[str, Any]) -> None:
    (first,), (second,) = planned(**one), planned(**other)
    assert first.run_id("digest") == second.run_id("digest")


def test_lists_make_a_grid() -> None:
    specs = planned(defense=["er1", "kd"], confidence=(9, 20))
    assert [(spec.defense, spec.confidence) for spec in specs] == [("er1", 9), ("er1", 20), ("kd", 9), ("kd", 20)]
    (trained,) = planned(adversarial_training=True)
    assert trained.classifier.name == "madry"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidance": 9}, "unknown option 'confidance'; did you mean 'confidence'"),
        ({"confidence": "high"}, "--confidence takes a number"),
        ({"epochs": 2.5}, "--epochs takes a whole number"),
        ({"confidence": float("nan")}, "confidence must be a number of at least 0, got nan"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        planned(**options)


def test_data_are_looked_for_where_the_call_says(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path / "elsewhere")):
        planned(dataset="mnist", data_dir=str(tmp_path / "elsewhere"))
