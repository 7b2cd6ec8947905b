"""Loss and margin of every step beside a record. Expected values come from `craft` itself and from the outcomes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from class_means import bring, digits, network
from small_runs import Ended

from attacks.probe import Trace
from bench.api import run
from bench.record import Record, load_outcomes
from bench.traces import TRACE, save_trace, trace_table

Bench = Callable[..., Ended]
PGD: dict[str, Any] = {"attack": "pgd", "steps": 4, "epsilon": 0.08, "step_size": 0.03, "n_test": 60}


def test_the_table_has_a_row_for_every_look(tmp_path: Path) -> None:
    nan = torch.nan
    trace = Trace(
        loss=torch.tensor([[0.5, nan, 1.5], [nan, nan, nan], [2.0, 2.5, nan]]),
        margin=torch.tensor([[-1.0, nan, 1.0], [nan, nan, nan], [-2.0, 0.25, nan]]),
    )
    expected = pd.DataFrame(
        {
            "sample_id": np.array([70, 70, 3, 3]),
            "step": np.array([0, 2, 0, 1], dtype=np.int32),
            "loss": np.array([0.5, 1.5, 2.0, 2.5], dtype=np.float32),
            "margin": np.array([-1.0, 1.0, -2.0, 0.25], dtype=np.float32),
        }
    )
    ids = torch.tensor([70, 5, 3])
    pd.testing.assert_frame_equal(trace_table(trace, ids), expected)
    save_trace(tmp_path / TRACE, trace, ids)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / TRACE), expected)


def test_an_attack_that_never_looked_leaves_an_empty_table() -> None:
    nothing = torch.empty(3, 0)
    assert len(trace_table(Trace(loss=nothing, margin=nothing), torch.arange(3))) == 0


def traced(folder: Path, **options: Any) -> tuple[Record, pd.DataFrame, pd.DataFrame]:
    """A record, its trace, and the rows of its adversarial images by index."""
    _, model, _, path = bring(folder)
    (record,) = run(model=model, weights=path, results_dir=folder, trace=True, **PGD | options)
    place = folder / "runs" / record.run_id
    outcomes = load_outcomes(place)
    return record, pd.read_parquet(place / TRACE), outcomes[outcomes["kind"] == "adversarial"].set_index("sample_id")


def test_every_step_of_every_image_ends_in_the_outcomes_margin(tmp_path: Path) -> None:
    _, trace, outcomes = traced(tmp_path, until="end")
    assert set(trace.groupby("sample_id")["step"].apply(tuple)) == {(0, 1, 2, 3, 4)}  # four steps and the last look
    assert set(trace["sample_id"]) == set(outcomes.index)
    worst = trace.groupby("sample_id")["margin"].max()
    np.testing.assert_allclose(worst, outcomes["margin"].loc[worst.index], atol=1e-4)


def test_an_image_is_traced_until_it_is_broken(tmp_path: Path) -> None:
    _, trace, outcomes = traced(tmp_path)  # a classifier's default is until success
    margins = trace.groupby("sample_id")["margin"]
    assert (margins.apply(lambda part: part.iloc[:-1].max() if len(part) > 1 else -1) <= 1e-3).all()
    last = trace.groupby("sample_id")["step"].max()
    broken = outcomes["reached"].loc[last.index]
    assert (last[~broken] == 4).all()
    assert (last[broken] < 4).any()


def test_losses_are_those_of_the_images_looked_at(tmp_path: Path) -> None:
    _, trace, _ = traced(tmp_path, attack="fgsm", steps=None, step_size=None)  # it looks at the clean images alone
    ids = torch.tensor(trace["sample_id"].to_numpy())
    with torch.no_grad():
        logits = network()(digits().test.images(ids))
    true = logits[torch.arange(len(ids)), digits().test.labels[ids]]
    np.testing.assert_allclose(trace["loss"], logits.logsumexp(dim=1) - true, atol=1e-4)
    assert (trace["step"] == 0).all()


@pytest.mark.parametrize("backend", ["torchattacks", "foolbox"])
def test_what_a_library_looks_at_is_not_seen(tmp_path: Path, backend: str) -> None:
    pytest.importorskip(backend)
    record, trace, _ = traced(tmp_path, backend=backend)
    assert len(trace) == 0
    assert record.metrics["robust_accuracy"]["n"] == 60


def test_the_program_makes_a_missing_trace(bench: Bench, tmp_path: Path) -> None:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in PGD.items()]
    command = ["run", *bring(tmp_path), *options, "--results-dir", str(tmp_path)]
    assert bench(*command).code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    before = load_outcomes(folder)
    assert not (folder / TRACE).exists()
    assert bench(*command, "--trace").code == 0
    assert len(pd.read_parquet(folder / TRACE)) > 60
    pd.testing.assert_frame_equal(load_outcomes(folder), before)
    made = (folder / TRACE).stat().st_mtime_ns
    for again in ([], ["--trace"]):
        assert bench(*command, *again).code == 0
        assert (folder / TRACE).stat().st_mtime_ns == made
    assert list((tmp_path / "runs").iterdir()) == [folder]
