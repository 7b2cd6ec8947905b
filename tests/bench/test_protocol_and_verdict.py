"""Training that ends without a usable model, the KL variant, and the paper's protocol, as whole runs on the digits."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import DETECTION, Ended

from bench.api import run
from bench.record import Record, load_outcomes, load_record


def kl(bench: Callable[..., Ended], results_dir: Path, n_train: int, epochs: int) -> Ended:
    command = ["run", "--defense", "er-classifier", "--attack", "fgsm", "--regularizer", "kl", "--n-test", "20"]
    command += ["--regularizer-weight", "1", "--n-train", str(n_train), "--epochs", str(epochs)]
    return bench(*command, "--results-dir", str(results_dir))


def only_record(results_dir: Path) -> Record:
    (folder,) = (results_dir / "runs").iterdir()
    record = load_record(folder)
    assert record is not None
    return record


def test_training_that_does_not_converge_ends_in_a_verdict(
    bench: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = kl(bench, tmp_path, n_train=100, epochs=1)  # a single step: the accuracy is an untrained network's
    assert ended.code == 1
    assert "no numbers (not-converged): training er-classifier did not converge" in ended.out
    assert "%" not in ended.out.partition("no numbers")[0]  # no table
    record = only_record(tmp_path)
    assert (record.status, record.metrics) == ("not-converged", {})
    monkeypatch.delattr("bench.fitting._train")  # the verdict is remembered
    assert kl(bench, tmp_path, n_train=100, epochs=1).out == ended.out


def test_kl_in_place_of_the_discriminator(bench: Callable[..., Ended], tmp_path: Path) -> None:
    ended = kl(bench, tmp_path, n_train=400, epochs=10)
    assert ended.code == 0
    record = only_record(tmp_path)
    assert record.status == "done"
    penalties = [epoch["losses"]["penalty"] for epoch in record.training]
    assert penalties[-1] < penalties[0]
    embedding = record.metrics["embedding"]
    assert embedding["squared_mmd"] < embedding["squared_mmd_unregularized"]


def test_the_papers_protocol(stored: Path) -> None:
    (record,) = run(results_dir=stored, defense="kd", protocol="paper", **DETECTION)
    table = load_outcomes(stored / "runs" / record.run_id)
    test = table[table["role"] == "test"]
    attacked = test[test["kind"] == "adversarial"]
    assert record.spec["target"] == "3"
    assert attacked["sample_id"].tolist() == list(range(20))  # the first images in order, none left out
    assert (attacked["goal_class"] == 3).all()
    assert test["judged"].all()
    assert record.metrics["acc_com"]["n"] == 20
    fit = table[table["role"] == "fit"]
    assert fit["sample_id"].min() >= 20
    assert (fit[fit["kind"] == "adversarial"]["goal_class"] == fit[fit["kind"] == "adversarial"]["label"]).all()
    # images of the target class are where the attack wants them and correct: the floor of Tables 3 to 5
    own = attacked[attacked["label"] == 3]
    assert len(own) > 0
    assert own["correct"].all()
    assert record.metrics["acc_com"]["value"] >= len(own) / 20
