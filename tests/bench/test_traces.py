"""Loss and margin of every step beside a record. Expected values come from `craft` itself and from the outcomes."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from class_means import bring, digits, fitted, network
from safetensors.torch import load_file
from small_runs import Ended, planned

from attacks.errors import RequestError
from attacks.probe import Trace
from attacks.registry import ATTACKS
from bench.api import run
from bench.exhibits import Studio
from bench.record import Record, load_outcomes
from bench.traces import TRACE, save_trace, trace_table
from bench.workspace import Workspace

Bench = Callable[..., Ended]
PGD: dict[str, Any] = {"attack": "pgd", "steps": 4, "epsilon": 0.08, "step_size": 0.03, "n_test": 60}


def test_the_table_has_a_row_for_every_look(tmp_path: Path) -> None:
    nan = torch.nan
    trace = Trace(
        loss=torch.tensor([[0.5, nan, 1.5], [nan, nan, nan], [2.0, 2.5, nan]]),
        margin=torch.tensor([[-1.0, nan, 1.0], [nan, nan, nan], [-2.0, 0.25, nan]]),
        parts=((1, "restart 1"), (2, "restart 2")),
    )
    expected = pd.DataFrame(
        {
            "sample_id": np.array([70, 70, 3, 3]),
            "step": np.array([0, 2, 0, 1], dtype=np.int32),
            "part": ["", "restart 2", "", "restart 1"],
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


@pytest.mark.parametrize(
    ("attack", "options", "parts"),
    [
        ("pgd", {"restarts": 2}, {"restart 1": 5, "restart 2": 5}),
        ("noise", {"restarts": 2}, {"draw 1": 1, "draw 2": 1}),
        ("cw", {"search_steps": 2, "epsilon": None}, {"search step 1": 4, "search step 2": 4}),
        ("apgd-ce", {}, {"restart 1": 5}),
        ("apgd-t", {"targets": 2}, {"clean": 1, "target 1, restart 1": 5, "target 2, restart 1": 5}),
        ("fab", {"targets": 2}, {"clean": 1, "target 1, restart 1": 8, "target 2, restart 1": 8}),
        ("square", {"queries": 3}, {"": 3}),
        (
            "auto",
            {"targets": 1, "queries": 3},
            {
                "apgd-ce, restart 1": 5,
                "apgd-ce, result": 1,
                "apgd-t, clean": 1,
                "apgd-t, target 1, restart 1": 5,
                "apgd-t, result": 1,
                "fab, clean": 1,
                "fab, target 1, restart 1": 8,
                "fab, result": 1,
                "square": 3,
                "square, result": 1,
            },
        ),
    ],
)
def test_a_step_says_which_part_of_the_attack_it_is_of(
    tmp_path: Path, attack: str, options: dict[str, Any], parts: dict[str, int]
) -> None:
    taken = {field.name for field in fields(ATTACKS.get(attack).config)}
    given = {name: value for name, value in {"steps": 4, "epsilon": 0.02, "step_size": 0.01}.items() if name in taken}
    until = {"until": "end"} if "until" in taken else {}
    dropped = {name: None for name in PGD.keys() & {"steps", "step_size"} if name not in taken}
    _, trace, outcomes = traced(tmp_path, attack=attack, **dropped | given | until | options)
    ids = outcomes.index[~outcomes["reached"]]  # AutoAttack's members work on an image until it is broken
    assert len(ids) > 2
    for sample_id in ids[:3]:
        counts = trace[trace["sample_id"] == sample_id]["part"].value_counts(sort=False)
        assert list(counts.items()) == list(parts.items())


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


def test_only_the_test_attack_is_traced(tmp_path: Path) -> None:
    spec = planned(tmp_path, defense="kd", attack="pgd", train_attack="pgd", steps=2)
    assert spec.detector is not None
    workspace = Workspace(results_dir=tmp_path / "results", traced=True)
    logits = network()(digits().test.images())
    studio = Studio(spec=spec, dataset=digits(), fitted=fitted(network()), workspace=workspace, logits=logits)
    clean = studio.clean("fit", torch.arange(5))
    studio.attacked_for_training(clean, "pgd", spec.detector.train_attack_config)
    (path,) = (tmp_path / "results" / "store" / "crafted").glob("*.safetensors")
    assert set(load_file(path)) == {"images", "vanished"}
    assert studio.attacked(clean)[1].trace is not None


@pytest.mark.parametrize("backend", ["torchattacks", "foolbox"])
def test_what_a_library_looks_at_cannot_be_traced(tmp_path: Path, backend: str) -> None:
    pytest.importorskip(backend)
    with pytest.raises(RequestError, match=f"--trace looks into our own attacks; {backend}'s steps cannot be seen"):
        traced(tmp_path, backend=backend)


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
