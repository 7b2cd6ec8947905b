"""AutoAttack's record says which member broke which image; expected numbers are counted from rows and images."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from class_means import bring, digits, network

from attacks.apgd import ApgdConfig
from attacks.contract import craft
from attacks.draws import Draws
from attacks.goal import Goal
from attacks.registry import ATTACKS
from bench.api import run
from bench.metrics.members import member_metrics
from bench.metrics.rates import rate
from bench.record import load_outcomes
from bench.tables.metrics_table import metrics_table


def rows(*images: tuple[bool, bool, str]) -> pd.DataFrame:
    """Images by (right before, right after, broken by whom); all are of class 1."""
    common = {"role": "test", "label": 1}
    clean = [{"kind": "clean", "correct": before, "broken_by": "", "goal_class": -1} for before, _, _ in images]
    after = [{"kind": "adversarial", "correct": right, "broken_by": by, "goal_class": 1} for _, right, by in images]
    ids = list(range(len(images))) * 2
    return pd.DataFrame([common | {"sample_id": i} | row for i, row in zip(ids, clean + after, strict=True)])


def test_what_stands_after_each_member() -> None:
    outcomes = rows(
        (True, True, ""),
        (True, False, "apgd-ce"),
        (True, False, "fab"),
        (False, False, "apgd-ce"),
        (True, False, "square"),
        (True, False, "apgd-ce"),
    )
    counts = {"apgd-ce": 3, "apgd-t": 3, "fab": 2, "square": 1}  # of six, one of which was never right
    assert member_metrics(outcomes) == {f"robust_accuracy_after_{name}": rate(n, 6) for name, n in counts.items()}
    toward = outcomes.assign(goal_class=outcomes["goal_class"].replace(1, 4))
    assert list(member_metrics(toward))[1] == "robust_accuracy_after_apgd-dlr"
    assert member_metrics(outcomes.drop(columns="broken_by")) == {}


@pytest.mark.parametrize("batch_size", [7, 100])
def test_a_record_tells_members_apart(tmp_path: Path, batch_size: int) -> None:
    _, model, _, weights = bring(tmp_path)
    options = {"attack": "auto", "epsilon": 0.03, "steps": 3, "targets": 2, "queries": 30, "n_test": 60}
    (record,) = run(model=model, weights=weights, results_dir=tmp_path, batch_size=batch_size, **options)
    outcomes = load_outcomes(tmp_path / "runs" / record.run_id)
    attacked = outcomes[outcomes["kind"] == "adversarial"]
    broken = ~attacked["correct"]
    assert 0 < broken.sum() < 60
    assert (attacked["broken_by"][~broken] == "").all()
    assert (outcomes["broken_by"][outcomes["kind"] == "clean"] == "").all()
    # the first member breaks what it breaks alone
    ids = torch.tensor(attacked["sample_id"].to_numpy())
    test, first = digits().test, ATTACKS.get("apgd-ce")
    goal, draws = Goal(classes=test.labels[ids]), Draws(seed=0, sample_ids=ids)
    alone = craft(first, network(), test.images(ids), goal, ApgdConfig(epsilon=0.03, steps=3), draws)
    assert (attacked["broken_by"] == "apgd-ce").tolist() == alone.success.tolist()
    names = [name.removeprefix("robust_accuracy_after_") for name in record.metrics if "after" in name]
    assert names == ["apgd-ce", "apgd-t", "fab", "square"]
    standing = [record.rate(f"robust_accuracy_after_{name}").successes for name in names]
    assert standing[0] == 60 - int(alone.success.sum())
    assert standing == sorted(standing, reverse=True)
    assert standing[-1] == record.rate("robust_accuracy").successes
    titles = [row[0] for row in metrics_table([record])]
    assert titles[:4] == [f"robust after {name}" for name in names]


def test_other_attacks_have_no_such_column(tmp_path: Path) -> None:
    _, model, _, weights = bring(tmp_path)
    (record,) = run(model=model, weights=weights, results_dir=tmp_path, attack="fgsm", n_test=10)
    assert "broken_by" not in load_outcomes(tmp_path / "runs" / record.run_id)
    assert not [name for name in record.metrics if "after" in name]
