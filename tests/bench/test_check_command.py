"""`bench check` end to end on small cells: what passes, what is caught, what is refused, and each format parsed back.

The faults are put in by hand: a detector that flags nothing, one whose scores are shuffled, and attacks of less
strength. The stored networks are those of `finished`, so that only the attacks and the judging run.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from small_runs import BASELINE, Ended, Finished

from attacks.cw import CW
from attacks.pgd import PGD
from attacks.registry import ATTACKS
from bench.canonical import full_hash
from bench.gate.baseline import read_baseline, write_baseline
from bench.gate.check import update
from bench.gate.verdicts import GUARDED
from bench.workspace import Workspace
from defenses.detectors.kernel_density import DensityDetector

Bench = Callable[..., Ended]
GRID = {"defense": ["standard", "kd"], "attack": ["pgd", "cw"], "n_test": [50], "n_fit": [40], "steps": [10]}
GRID |= {"search_steps": [2], "initial_c": [5.0]} | {name: [value] for name, value in BASELINE.items()}
CELLS = ["standard · pgd", "standard · cw", "kd · pgd", "kd · cw"]


@pytest.fixture(scope="session")
def gated(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `results/` and the baseline of them, `b.json`."""
    folder = tmp_path_factory.mktemp("gated")
    shutil.copytree(finished.results_dir / "store", folder / "results" / "store")
    found = update(folder / "b.json", Workspace(results_dir=folder / "results"), values=GRID)
    assert found.updated
    assert found.notes[1] == f"new in it: {', '.join(CELLS)}"
    return folder


@pytest.fixture
def check(gated: Path, tmp_path: Path, bench: Bench) -> Callable[..., Ended]:
    """`bench check` in a copy of `gated`, with the records of `anew` (labels, or all) to be made again."""
    shutil.copytree(gated, tmp_path, dirs_exist_ok=True)

    def call(*arguments: str, anew: bool = False) -> Ended:
        if anew:
            shutil.rmtree(tmp_path / "results" / "runs")
        place = ["--baseline", str(tmp_path / "b.json"), "--results-dir", str(tmp_path / "results"), "--quiet"]
        return bench("check", *place, *arguments)

    return call


def verdicts(ended: Ended) -> dict[str, dict[str, str]]:
    """By cell and metric, what did not stay the same, from `--format json`."""
    return {
        cell["label"]: {m["metric"]: m["verdict"] for m in cell["metrics"] if m["verdict"] != "same"}
        for cell in json.loads(ended.out)["cells"]
    }


# ---- what passes


def test_an_unchanged_tree_passes(check: Callable[..., Ended]) -> None:
    ended = check(anew=True)
    assert (ended.code, ended.err) == (0, "")
    for label in CELLS:
        assert re.search(rf"^ok +{label}: \d+ metrics, none changed beyond chance$", ended.out, re.MULTILINE)
    assert ": 0 regressions, 0 cells without numbers, 0 improvements" in ended.out
    assert "--update" not in ended.out


# ---- what is caught


def flag_nothing(self: object, _classifier: object, images: torch.Tensor, _predictions: object) -> torch.Tensor:
    return torch.zeros(len(images), 1, dtype=torch.float64)


def shuffled(self: object, _classifier: object, images: torch.Tensor, _predictions: object) -> torch.Tensor:
    return torch.rand(len(images), 1, dtype=torch.float64, generator=torch.Generator().manual_seed(len(images)))


@pytest.mark.parametrize("broken", [flag_nothing, shuffled])
def test_a_broken_detector_is_caught(
    check: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, broken: Callable[..., torch.Tensor]
) -> None:
    monkeypatch.setattr(DensityDetector, "scores", broken)
    ended = check("--format", "json", "--defense", "kd", "--attack", "cw", anew=True)
    assert ended.code == 1
    found = verdicts(ended)
    assert found["kd · cw"]["detection_rate"] == found["kd · cw"]["auroc"] == "dropped"
    assert "attack weaker?" not in {verdict for cell in found.values() for verdict in cell.values()}


def timid(probe: Any, images: torch.Tensor, config: Any, draws: Any) -> torch.Tensor:
    return PGD.attack(probe, images, replace(config, step_size=config.step_size * 1e-3), draws)


def wasteful(probe: Any, images: torch.Tensor, config: Any, draws: Any) -> torch.Tensor:
    return CW.attack(probe, images, replace(config, search_steps=1, initial_c=500.0), draws)


def test_a_weakened_attack_is_caught(check: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ATTACKS._entries, "pgd", replace(PGD, attack=timid))
    ended = check("--defense", "standard")
    assert ended.code == 1
    line = re.search(r"^FAIL +standard · pgd: .*$", ended.out, re.MULTILINE)[0]
    assert "3 attack weaker?" in line
    assert "code that changed since the baseline: attack" in line
    assert re.search(r"^ok +standard · cw", ended.out, re.MULTILINE)
    assert "robust accuracy" in ended.out
    assert "exact McNemar" in ended.out
    assert "attack weaker? a defense of the same spec withstands more" in ended.out
    assert "if the change is meant: bench check --update --baseline" in ended.out


def test_an_attack_that_only_goes_farther_than_it_must_is_caught(
    check: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ATTACKS._entries, "cw", replace(CW, attack=wasteful))
    ended = check("--format", "json", "--defense", "standard")
    assert ended.code == 1
    assert verdicts(ended) == {"standard · pgd": {}, "standard · cw": {"median_l2": "attack weaker?"}}


def test_a_cell_that_crashes_fails_also_when_it_is_alone(
    check: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_arguments: object) -> None:
        raise ZeroDivisionError("the attack's own mistake: \x1b[1m100% <&>")

    monkeypatch.setitem(ATTACKS._entries, "pgd", replace(PGD, attack=crash))
    only = ("--defense", "standard", "--attack", "pgd")
    ended = check(*only)
    assert ended.code == 1
    assert "FAIL  standard · pgd: no numbers (error): ZeroDivisionError" in ended.out
    suites = ElementTree.fromstring(check(*only, "--format", "junit").out.encode())
    (case,) = suites.iter("testcase")
    assert "100% <&>" in case.find("failure").get("message")
    github = check(*only, "--format", "github").out.splitlines()[0]
    assert github.startswith("::error title=standard · pgd::no numbers (error): ZeroDivisionError")
    assert "100%25 <&>" in github
    ended = check("--update")
    assert ended.code == 1
    assert "b.json is left as it was: a cell gave no numbers" in ended.out


# ---- formats


@pytest.fixture
def weak(check: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    monkeypatch.setitem(ATTACKS._entries, "pgd", replace(PGD, attack=timid))
    return check


def test_json_says_everything(weak: Callable[..., Ended], tmp_path: Path) -> None:
    out = tmp_path / "out" / "check.json"
    ended = weak("--format", "json", "--attack", "pgd", "--defense", "standard", "--out", str(out))
    assert (ended.code, ended.out) == (1, "")
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (found["fails"], found["level"], found["tolerance"]) == (True, 0.05, None)
    cell = found["cells"][0]
    assert (cell["label"], cell["fails"], cell["code_changed"]) == ("standard · pgd", True, ["attack"])
    (metric,) = [metric for metric in cell["metrics"] if metric["metric"] == "robust_accuracy"]
    assert metric["difference"] == pytest.approx(metric["after"]["value"] - metric["before"]["value"])
    assert metric["after"]["n"] == 50
    assert metric["after"]["low"] <= metric["after"]["value"] <= metric["after"]["high"]
    assert metric["test"].startswith("exact McNemar on 50 paired outcomes (0 lost, ")
    assert metric["p_holm"] < 0.05
    assert (metric["verdict"], metric["decided_by"]) == ("attack weaker?", "test")


def test_junit_has_a_case_a_metric(weak: Callable[..., Ended], gated: Path) -> None:
    found = json.loads(weak("--format", "json", "--attack", "pgd").out)
    root = ElementTree.fromstring(weak("--format", "junit", "--attack", "pgd").out.encode())
    assert root.tag == "testsuites"
    assert [suite.get("name") for suite in root] == CELLS[::2]
    for suite, cell in zip(root, found["cells"], strict=True):
        cases = list(suite)
        titles = [GUARDED[metric["metric"]].title for metric in cell["metrics"]]
        assert [case.get("name") for case in cases] == titles
        failed = {case.get("name") for case in cases if case.find("failure") is not None}
        assert failed == {GUARDED[metric["metric"]].title for metric in cell["metrics"] if metric["fails"]}
        assert (int(suite.get("tests")), int(suite.get("failures"))) == (len(cases), len(failed))
        assert sum(float(case.get("time")) for case in cases) == pytest.approx(float(suite.get("time")), abs=0.01)
        assert float(suite.get("time")) == pytest.approx(cell["seconds"], abs=0.001)
    assert int(root.get("failures")) == sum(int(suite.get("failures")) for suite in root) > 0


def test_github_commands_are_escaped(weak: Callable[..., Ended]) -> None:
    lines = weak("--format", "github", "--defense", "standard").out.splitlines()
    assert all(re.fullmatch(r"::(error|notice) title=[^:,]*::[^\r\n]*", line) for line in lines)
    error = next(line for line in lines if line.startswith("::error title=standard · pgd%3A robust accuracy::"))
    assert re.search(r"robust accuracy attack weaker\? \(by test\): [\d.]+ %25 \[", error)
    assert lines[-2].startswith("::notice title=bench check::2 cells, ")
    assert "--update" in lines[-1]


# ---- updating


def keep_only(path: Path, label: str) -> None:
    write_baseline(path, [cell for cell in read_baseline(path) if cell.label == label])


def test_an_improvement_says_how_to_update_and_an_update_makes_it_the_rule(
    check: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keep_only(tmp_path / "b.json", "kd · cw")
    with monkeypatch.context() as patch:  # a baseline from the time of a broken detector
        patch.setattr(DensityDetector, "scores", flag_nothing)
        assert check("--update", anew=True).code == 0
    ended = check(anew=True)
    assert "improved (by test)" in ended.out
    assert f"if the change is meant: bench check --update --baseline {tmp_path / 'b.json'}" in ended.out
    github = check("--format", "github").out
    assert "::notice title=kd · cw%3A detection rate::detection rate improved (by test)" in github
    ended = check("--update")
    assert ended.code == 0
    assert "improved (by test)" in ended.out  # what it changed
    assert f"wrote {tmp_path / 'b.json'}: 1 cells" in ended.out
    ended = check()
    assert ended.code == 0
    assert "improved" not in ended.out


def test_an_update_by_a_grid_replaces_the_cells(check: Callable[..., Ended], tmp_path: Path, gated: Path) -> None:
    given = [
        f"--{name.replace('_', '-')}={value[0]}" for name, value in GRID.items() if name not in ("defense", "attack")
    ]
    (tmp_path / "b.json").write_text("damaged")
    ended = check("--update", "--defense", "standard", "--attack", "pgd,cw", *[o for o in given if "fit" not in o])
    assert ended.code == 0, ended.err
    assert "new in it: standard · pgd, standard · cw" in ended.out
    assert read_baseline(tmp_path / "b.json") == read_baseline(gated / "b.json")[:2]
    shutil.copy(gated / "b.json", tmp_path / "b.json")
    ended = check("--update", "--defense", "kd", "--attack", "pgd,cw", *given)
    assert "no longer in it: standard · pgd, standard · cw" in ended.out
    assert check().code == 0


# ---- refusals


def rewritten(path: Path, **changes: Any) -> None:
    """The first cell of a baseline with other fields, under a checksum that is right."""
    first, *others = read_baseline(path)
    write_baseline(path, [replace(first, **changes), *others])


def test_baselines_of_something_else_are_refused_before_anything_runs(
    check: Callable[..., Ended], gated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.gate.check.swept_by", lambda *_arguments, **_more: pytest.fail("ran"))
    path = tmp_path / "b.json"
    first = read_baseline(path)[0]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"request": first.request | {"protocol": "paper"}}, "the baseline is of protocol sound, this is paper"),
        ({"dataset_digest": "0" * 64}, "the baseline is of other images (digest 000000000000, here "),
        ({"request": first.request | {"seed": 7}}, "the baseline is of another run (seed 0; here seed 7)"),
        ({"request": first.request | {"color": 1}}, "asks for what this version does not know"),
    ]
    for changes, says in cases:
        shutil.copy(gated / "b.json", path)
        rewritten(path, **changes)
        ended = check()
        assert (ended.code, ended.out) == (2, "")
        assert says in ended.err
        assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--protocol", "paper"], "has no cell of protocol paper, only of sound"),
        (["--defense", "lid"], "has no cell of defense lid, only of standard, kd"),
        (["--format", "jnuit"], "unknown format 'jnuit'; did you mean 'junit'"),
        (["--tolerance", "-1"], "--tolerance must be at least 0, got -1"),
        (["--tolerance", "0.1", "--update"], "--tolerance is for comparing"),
        (["--baseline", "none.json"], "there is no baseline none.json"),
        (["--baseline", "none.json", "--update"], "there is no baseline none.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusals(check: Callable[..., Ended], arguments: list[str], says: str) -> None:
    ended = check(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert ended.err.count("\n") == 1


def test_damage_and_newer_schemas_are_told(check: Callable[..., Ended], tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"schema": 99}), encoding="utf-8")
    assert "has schema 99, this version reads up to 1" in check().err
    content["cells"][0]["rates"]["reached"]["rate"]["successes"] = 0
    path.write_text(json.dumps(content), encoding="utf-8")
    ended = check()
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "does not match its checksum" in ended.err
    assert full_hash(content["cells"]) != content["sha256"]


def test_the_tolerance_closes_the_gate_where_a_test_would_not(check: Callable[..., Ended], tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    first, *others = read_baseline(path)
    rate = first.rates["clean_accuracy"]
    raised = replace(rate, rate=replace(rate.rate, successes=rate.rate.successes + 4, value=rate.rate.value + 4 / 500))
    write_baseline(path, [replace(first, rates=first.rates | {"clean_accuracy": raised}), *others])
    assert check().code == 0
    assert check("--tolerance", "0.009").code == 0
    ended = check("--tolerance", "0.007")
    assert ended.code == 1
    assert "dropped (by tolerance)" in ended.out
    assert "or when it is larger than 0.007" in ended.out
