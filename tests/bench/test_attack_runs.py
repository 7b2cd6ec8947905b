"""The command line's options of attacks: until when, in what precision, whose implementation, how many at a time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from class_means import bring
from small_runs import Ended, planned

from attacks.errors import RequestError
from attacks.registry import ATTACKS
from bench.api import run
from bench.grid import expand
from bench.record import Record, load_outcomes, load_records

Bench = Callable[..., Ended]
PGD = ["--attack", "pgd", "--steps", "3", "--restarts", "2", "--epsilon", "0.08", "--step-size", "0.03"]


@pytest.fixture
def attacked(bench: Bench, tmp_path: Path) -> Callable[..., Record]:
    """Attack the nearest class mean, and return the record that the call left or found; it must end well."""
    mine = bring(tmp_path / "mine")

    def call(*arguments: str, results: str = "results") -> Record:
        place = tmp_path / results
        ended = bench("run", *mine, "--n-test", "60", *arguments, "--results-dir", str(place))
        assert ended.code == 0, ended.err
        (run_id,) = {line.rsplit("/")[-1] for line in ended.out.splitlines() if line.startswith(str(place))}
        (record,) = [record for record in load_records(place) if record.run_id == run_id]
        return record

    return call


def rows(tmp_path: Path, record: Record, results: str = "results") -> pd.DataFrame:
    return load_outcomes(tmp_path / results / "runs" / record.run_id)


# ---- until when


def test_full_is_until_end_and_the_default_is_until_success(attacked: Callable[..., Record], tmp_path: Path) -> None:
    default, success = attacked(*PGD), attacked(*PGD, "--until", "success")
    end, full = attacked(*PGD, "--until", "end"), attacked(*PGD, "--full")
    assert default.run_id == success.run_id != end.run_id == full.run_id
    assert [record.spec["attack_config"]["until"] for record in (default, full)] == ["success", "end"]
    # the same images are broken, and they go on to be broken further
    brief, long = (rows(tmp_path, record).query("kind == 'adversarial'") for record in (default, full))
    assert (brief["reached"] == long["reached"]).all()
    assert 0 < brief["reached"].sum() < 60
    assert (brief["margin"] <= long["margin"] + 1e-4).all()
    assert long["margin"].mean() > brief["margin"].mean() + 0.1


@pytest.mark.parametrize(
    ("values", "until"),
    [
        ({"defense": "standard", "attack": "pgd"}, "success"),
        ({"defense": "standard", "attack": "apgd-ce"}, "success"),
        ({"defense": "standard", "attack": "pgd", "until": "end"}, "end"),
        ({"defense": "standard", "attack": "pgd", "backend": "foolbox"}, "end"),  # it takes every step
        ({"defense": "kd", "attack": "pgd"}, "end"),  # a detector is to meet the attack's worst
        ({"defense": "kd", "attack": "apgd-t"}, "end"),
        ({"defense": "kd", "attack": "pgd", "until": "success"}, "success"),
    ],
)
def test_an_accuracy_needs_one_success_and_a_detector_the_worst(
    tmp_path: Path, values: dict[str, Any], until: str
) -> None:
    if "backend" in values:
        pytest.importorskip(values["backend"])
    assert planned(tmp_path, **values).attack_config.until == until


def test_set_one_is_attacked_to_the_end_whatever_set_two_is(tmp_path: Path) -> None:
    spec = planned(tmp_path, defense="kd", attack="pgd", train_attack="pgd", until="success")
    assert spec.detector is not None
    assert spec.detector.train_attack_config.until == "end"


def test_a_detector_meets_the_end_whatever_an_attacks_own_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Hasty:
        epsilon: float
        until: str = "success"

    monkeypatch.setitem(ATTACKS._entries, "square", replace(ATTACKS.get("square"), config=Hasty))
    spec = planned(tmp_path, defense="kd", attack="square", train_attack="square")
    assert spec.detector is not None
    assert (spec.attack_config.until, spec.detector.train_attack_config.until) == ("end", "end")


# ---- precision, batches, backends


def test_precision_makes_another_run_and_is_judged_in_float32(attacked: Callable[..., Record], tmp_path: Path) -> None:
    exact, coarse = attacked(*PGD, "--full"), attacked(*PGD, "--full", "--precision", "bfloat16")
    assert (exact.spec["precision"], coarse.spec["precision"]) == ("float32", "bfloat16")
    assert exact.run_id != coarse.run_id
    tables = [rows(tmp_path, record) for record in (exact, coarse)]
    clean, attacked_rows = ([table[table["kind"] == kind] for table in tables] for kind in ("clean", "adversarial"))
    pd.testing.assert_frame_equal(*clean)
    first, second = (part["margin"].to_numpy() for part in attacked_rows)
    assert (first != second).any()  # bfloat16's gradients have other signs here and there
    assert abs(first - second).mean() < 0.3  # and lead to much the same
    assert (torch.tensor(second).bfloat16().float().numpy() != second).mean() > 0.5  # its own margins would be coarse


def test_the_batch_size_changes_no_outcome(attacked: Callable[..., Record], tmp_path: Path) -> None:
    names = {"1": "one", "7": "seven", "128": "all"}
    records = {size: attacked(*PGD, "--batch-size", size, results=name) for size, name in names.items()}
    assert len({record.run_id for record in records.values()}) == 1
    first, *others = (rows(tmp_path, record, names[size]) for size, record in records.items())
    for other in others:
        assert (other["prediction"] == first["prediction"]).all()
        assert (other["reached"] == first["reached"]).all()


@pytest.mark.parametrize("backend", ["torchattacks", "foolbox"])
def test_another_backend_is_another_run_with_its_version(attacked: Callable[..., Record], backend: str) -> None:
    library = pytest.importorskip(backend)
    ours, theirs = (attacked("--attack", "fgsm", *more) for more in ([], ["--backend", backend]))
    assert theirs.run_id != ours.run_id
    assert theirs.spec["backend"] == backend
    assert theirs.label == f"mine.py:make · fgsm ({backend})"
    assert theirs.code["attack"].endswith(library.__version__)
    assert theirs.metrics == ours.metrics  # there is one right answer


def test_backends_and_precisions_make_a_grid(tmp_path: Path) -> None:
    pytest.importorskip("foolbox")
    _, model, _, path = bring(tmp_path)
    values = {"backend": ["native", "foolbox"], "precision": ["float32", "bfloat16"]}
    records = run(model=model, weights=path, attack="fgsm", n_test=10, results_dir=tmp_path, **values)
    found = [(record.spec["backend"], record.spec["precision"]) for record in records]
    assert found == [(backend, precision) for backend in values["backend"] for precision in values["precision"]]
    assert len({record.run_id for record in records}) == 4


def test_a_library_that_is_not_installed_is_told_before_anything_runs(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attacks.backends.contract.find_spec", lambda _package: None)
    place = ["--results-dir", str(tmp_path / "results")]
    ended = bench("run", "--defense", "standard", *PGD, "--backend", "foolbox", *place)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: --backend foolbox is not installed: pip install 'erbench[backends]'\n"
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*PGD, "--full", "--until", "end"], "--full means --until end; give one of them"),
        ([*PGD, "--full", "--until", "success"], "--full means --until end; give one of them"),
        ([*PGD, "--until", "sucess"], "unknown until 'sucess'; did you mean 'success'"),
        (["--attack", "fgsm", "--full"], "--full is not an option of fgsm, which never stops early"),
        (["--attack", "cw,fgsm", "--full"], "--full is not an option of cw or fgsm, which never stops early"),
        (["--attack", "cw", "--until", "end"], "--until is not an option of standard with cw"),
        ([*PGD, "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        ([*PGD, "--batch-size", "-5"], "--batch-size must be at least 1, got -5"),
        ([*PGD, "--precision", "float16"], "unknown precision 'float16'; did you mean 'bfloat16'"),
        ([*PGD, "--backend", "foolbocks"], "unknown backend 'foolbocks'; did you mean 'foolbox'"),
        (["--attack", "square", "--backend", "foolbox"], "--backend foolbox has no square; it has: fgsm, pgd, cw"),
        ([*PGD, "--backend", "foolbox", "--until", "end"], "--backend foolbox does not know --until for pgd"),
        ([*PGD, "--backend", "torchattacks", "--full"], "--backend torchattacks does not know --until for pgd"),
    ],
    ids=lambda value: " ".join(value[-4:]) if isinstance(value, list) else "",
)
def test_refusals(bench: Bench, tmp_path: Path, arguments: list[str], says: str) -> None:
    if "foolbox" in arguments or "torchattacks" in arguments:
        pytest.importorskip(arguments[arguments.index("--backend") + 1])
    ended = bench("run", "--defense", "standard", *arguments, "--results-dir", str(tmp_path / "results"))
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_grid_with_an_attack_that_the_backend_lacks_is_refused_whole() -> None:
    with pytest.raises(RequestError, match="--backend foolbox has no square"):
        expand({"defense": ["standard"], "attack": ["fgsm", "square"], "backend": ["foolbox"]})
