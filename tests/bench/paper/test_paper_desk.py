"""The desk an artifact is put together at: studies computed once and kept, classifiers, and what only collects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_paper import SETTINGS, SmallPaper
from small_runs import Ended, workspace_in

from attacks.errors import RequestError
from bench.paper.contract import PaperRequest
from bench.paper.desk import STUDIES, Desk
from bench.paper.missing import MissingError
from bench.paper.studies.intrinsic_dimension import intrinsic_dimension
from bench.paper.studies.transport import transport_cost
from bench.workspace import Workspace


class Counting:
    """A computation that counts how often it is asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        self.calls += 1
        return {"values": torch.tensor([0.1, 0.2])}, {"mean": 0.1 + 0.2}


def desk_in(folder: Path, **changes: Any) -> Desk:
    return Desk(**{"artifact": "theorem1", "request": PaperRequest(), "workspace": workspace_in(folder)} | changes)


def test_a_study_is_computed_once_and_kept(tmp_path: Path) -> None:
    compute = Counting()
    first = desk_in(tmp_path).study("a-study", {"n": 2}, intrinsic_dimension, compute)
    again = desk_in(tmp_path, artifact="table2").study("a-study", {"n": 2}, intrinsic_dimension, compute)
    assert compute.calls == 1
    for item in (first, again):
        assert item.details == {"mean": 0.1 + 0.2}
        assert torch.equal(item.tensors["values"], torch.tensor([0.1, 0.2]))
    key = desk_in(tmp_path).study_key(first)
    assert key == desk_in(tmp_path).study_key(again)
    assert workspace_in(tmp_path).store.holds(STUDIES, key)


@pytest.mark.parametrize(
    ("kind", "identity", "code"),
    [
        ("other-study", {"n": 2}, intrinsic_dimension),
        ("a-study", {"n": 3}, intrinsic_dimension),
        ("a-study", {"n": 2}, transport_cost),  # of another module
    ],
)
def test_another_study_is_another(
    tmp_path: Path, kind: str, identity: dict[str, int], code: Callable[..., Any]
) -> None:
    compute = Counting()
    desk = desk_in(tmp_path)
    one = desk.study("a-study", {"n": 2}, intrinsic_dimension, compute)
    other = desk.study(kind, identity, code, compute)
    assert compute.calls == 2
    assert desk.study_key(one) != desk.study_key(other)


def test_collecting_reads_studies_and_computes_none(tmp_path: Path) -> None:
    compute = Counting()
    with pytest.raises(MissingError, match=r"a-study  bench paper theorem1 --dataset digits"):
        desk_in(tmp_path, collects=True).study("a-study", {"n": 2}, intrinsic_dimension, compute)
    assert compute.calls == 0
    desk_in(tmp_path).study("a-study", {"n": 2}, intrinsic_dimension, compute)
    assert desk_in(tmp_path, collects=True).study("a-study", {"n": 2}, intrinsic_dimension, compute).details["mean"]
    assert compute.calls == 1


def test_what_is_missing_is_told_with_folders_that_are_not_the_default_ones(tmp_path: Path) -> None:
    def told(workspace: Workspace) -> str:
        with pytest.raises(MissingError) as raised:
            desk_in(tmp_path, collects=True, workspace=workspace).study("s", {}, intrinsic_dimension, Counting())
        return raised.value.missing[0].command

    assert told(Workspace(results_dir=tmp_path / "my results")).endswith(f"--results-dir '{tmp_path / 'my results'}'")
    assert "--data-dir /data" in told(Workspace(results_dir=tmp_path / "none", data_dir=Path("/data")))
    assert "--data-dir" not in told(Workspace(results_dir=tmp_path / "none"))


def test_classifiers_are_given_trained_and_detectors_are_refused(small_paper: SmallPaper) -> None:
    settings = {name.replace("-", "_"): value for name, value in SETTINGS.items()}
    request, used = PaperRequest(settings=settings), set[str]()
    workspace = Workspace(results_dir=small_paper.results_dir)
    desk = desk_in(small_paper.results_dir, request=request, workspace=workspace, used=used, collects=True)
    fitted = desk.classifier("er-classifier", 0)
    assert len(fitted.history) == SETTINGS["epochs"]
    assert used == settings.keys() - {"n_fit"}  # of classifiers nobody takes it
    with pytest.raises(MissingError, match="er-classifier, seed 7"):
        desk.classifier("er-classifier", 7)
    with pytest.raises(RequestError, match="'kd' is a detector; theorem1 looks at classifiers"):
        desk.classifier("kd", 0)


def test_the_store_tells_studies_in_words(bench: Callable[..., Ended], small_paper: SmallPaper) -> None:
    ended = bench("store", "ls", "--kind", STUDIES, "--results-dir", str(small_paper.results_dir))
    assert ended.code == 0
    words = {line.split("  ")[-1] for line in ended.out.splitlines()[1:]}
    assert {line.split()[-4] for line in ended.out.splitlines()[1:]} == {"1"}  # an artifact needs it
    assert {"theorem1 of digits", "intrinsic-dimension of digits", "loss-surface of digits"} <= words
