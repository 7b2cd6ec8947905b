"""Density and class weight through whole runs on the digits: what is recorded, and what it does to the verdicts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_runs import ER, Ended

from bench.api import run
from bench.record import Record, load_outcomes
from bench.tables.captions import caption

Told = dict[tuple[str, str], tuple[Record, pd.DataFrame]]
CELL = {name: ER[name] for name in ("defense", "n_train", "epochs", "n_fit", "n_test")} | {"attack": "fgsm"}


@pytest.fixture
def told(stored: Path) -> Told:
    """Records and rows by density and class weight, of one classifier."""
    records = run(results_dir=stored, density=["log", "linear"], class_weight=["none", "balanced"], **CELL)
    found = {}
    for record in records:
        detector = record.spec["detector"]
        rows = load_outcomes(stored / "runs" / record.run_id)
        found[detector["config"]["density"], detector["class_weight"]] = (record, rows)
    assert len(found) == 4
    return found


def test_score_and_weight_are_recorded_and_act(told: Told, stored: Path, bench: Callable[..., Ended]) -> None:
    names = {"log": "log_density", "linear": "density"}
    for (density, weight), (record, rows) in told.items():
        assert record.detector["scores"] == [names[density]]
        assert list(rows.filter(like="score_").columns) == [f"score_{names[density]}"]
        side = "low" if record.detector["weights"][0] < 0 else "high"
        score = names[density].replace("_", "-")
        assert f"the logistic regression learned on set I to flag {side} {score}" in record.notes
        assert ("balanced classes" in caption(record.spec)) == (weight == "balanced")
    log, linear = (told[density, "none"][1] for density in ("log", "linear"))
    assert (log[["sample_id", "role", "kind"]] == linear[["sample_id", "role", "kind"]]).all(axis=None)
    np.testing.assert_allclose(linear["score_density"], np.exp(log["score_log_density"]), rtol=1e-6)
    for density in names:
        # 20 adversarial images stand against 40 others, so that as one class of two they weigh twice
        plain, balanced = (told[density, weight][1] for weight in ("none", "balanced"))
        assert plain["flagged"].sum() < balanced["flagged"].sum()
        pd.testing.assert_frame_equal(plain.filter(like="score_"), balanced.filter(like="score_"))
    ended = bench("verify", "--results-dir", str(stored))
    assert ended.code == 0, ended.out + ended.err
    assert len(list((stored / "runs").iterdir())) == 4
