"""Whole runs on the digits: every stored number is computed again from the stored rows, with NumPy and scikit-learn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from small_runs import CLASSIFICATION, DETECTION, ER, Finished

from bench.api import run
from bench.record import load_record

DETECTORS = ["er1", "kd", "lid"]
ATTACKS = ["fgsm", "pgd"]


def wilson(flags: pd.Series) -> dict[str, Any]:
    """The record's form of a rate, by the formula in its textbook form."""
    n, share, z = len(flags), float(flags.mean()), 1.959963984540054
    middle, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    return {"successes": int(flags.sum()), "n": n, "value": share, "low": low, "high": high}


def assert_same(stored: Any, expected: Any) -> None:
    assert stored == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", DETECTORS)
def test_stored_rows_give_every_stored_number_of_a_detector(finished: Finished, name: str) -> None:
    metrics, table = finished.records[name].metrics, finished.outcomes[name]
    test = table[(table["role"] == "test") & table["judged"]]
    benign, attacked = test[test["kind"] != "adversarial"], test[test["kind"] == "adversarial"]
    everything = table[(table["role"] == "test") & (table["kind"] == "adversarial")]
    reached = everything[everything["reached"]]
    assert len(attacked) == len(reached) > 0  # those that missed the confidence do not count
    assert_same(metrics["acc_nadv"], wilson(~benign["flagged"]))
    assert_same(metrics["false_positive_rate"], wilson(benign["flagged"]))
    assert_same(metrics["acc_com"], wilson(attacked["flagged"] | (attacked["prediction"] == attacked["label"])))
    assert_same(metrics["detection_rate"], wilson(attacked["flagged"]))
    assert_same(metrics["attack_success_rate"], wilson(attacked["prediction"] != attacked["label"]))
    assert_same(metrics["reached"], wilson(everything["reached"]))
    assert_same([metrics["median_l2"], metrics["mean_l2"]], [np.median(reached["l2"]), np.mean(reached["l2"])])

    is_attack = (test["kind"] == "adversarial").to_numpy()
    assert_same(metrics["auroc"], roc_auc_score(is_attack, test["probability"]))
    assert_same(metrics["aupr"], average_precision_score(is_attack, test["probability"]))
    few = test[test["kind"] != "noisy"]
    fpr, tpr, thresholds = roc_curve(few["kind"] == "adversarial", few["probability"], drop_intermediate=False)
    last = np.flatnonzero(fpr <= 0.05)[-1]
    assert_same(metrics["tpr_at_5_fpr"]["value"], tpr[last])
    evades = (attacked["probability"] < thresholds[last]) & (attacked["prediction"] != attacked["label"])
    assert_same(metrics["success_rate_at_5_fpr"], wilson(evades))


@pytest.mark.parametrize("name", DETECTORS)
def test_the_verdict_is_a_logistic_regression_of_set_one(finished: Finished, name: str) -> None:
    table = finished.outcomes[name]
    scores = table.filter(like="score_")
    fit = table["role"] == "fit"
    standardized = (scores - scores[fit].mean()) / scores[fit].std(ddof=0).replace(0, 1)
    detector = finished.records[name].detector
    odds = standardized.to_numpy() @ np.array(detector["weights"]) + detector["intercept"]
    assert np.allclose(table["probability"], 1 / (1 + np.exp(-odds)), atol=1e-6)
    assert (table["flagged"] == (table["probability"] >= 0.5)).all()
    # scikit-learn's plain logistic regression finds it again for one of the strengths that were tried
    is_attack = table["kind"][fit] == "adversarial"
    fits = [
        LogisticRegression(C=c, max_iter=1000).fit(standardized[fit], is_attack) for c in np.geomspace(1e-4, 1e4, 10)
    ]
    assert min(float(np.abs(one.coef_[0] - detector["weights"]).max()) for one in fits) < 1e-2


@pytest.mark.parametrize("name", ATTACKS)
def test_stored_rows_give_every_stored_number_of_a_classifier(finished: Finished, name: str) -> None:
    metrics, table = finished.records[name].metrics, finished.outcomes[name]
    pairs = table.pivot_table(index="sample_id", columns="kind", values="correct", aggfunc="first").astype(bool)
    assert len(pairs) == 20
    assert_same(metrics["accuracy_on_attacked"], wilson(pairs["clean"]))
    assert_same(metrics["robust_accuracy"], wilson(pairs["clean"] & pairs["adversarial"]))
    assert_same(metrics["attack_success_rate"], wilson(~pairs["adversarial"][pairs["clean"]]))
    attacked = table[table["kind"] == "adversarial"]
    before = attacked[
        pairs["clean"].loc[attacked["sample_id"]].to_numpy()
    ]  # what was wrong already is no success of the attack
    assert_same(metrics["reached"], wilson(before["prediction"] != before["label"]))
    assert (attacked["linf"] <= 0.3 + 1e-5).all()  # supplement Table 1
    assert (attacked["linf"] > 0).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_the_sets_are_disjoint_correct_and_complete(finished: Finished, name: str) -> None:
    table = finished.outcomes[name]
    ids = {role: set(table.loc[table["role"] == role, "sample_id"]) for role in ("fit", "test")}
    assert len(ids["fit"]) == len(ids["test"]) == 20
    assert not ids["fit"] & ids["test"]
    assert table[table["kind"] == "clean"]["correct"].all()
    assert set(table.groupby(["role", "kind"]).size()) == {20}
    # the same images for kd and lid, which watch the same classifier
    assert (finished.outcomes["kd"]["sample_id"] == finished.outcomes["lid"]["sample_id"]).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_noise_is_as_large_as_the_attack_on_its_set(finished: Finished, name: str) -> None:
    table = finished.outcomes[name]
    for role in ("fit", "test"):
        rows = table[(table["role"] == role) & table["judged"]]
        mean = rows.groupby("kind")["l2"].mean()
        assert mean["noisy"] == pytest.approx(mean["adversarial"], abs=1e-3)
        assert mean["clean"] == 0


@pytest.mark.parametrize("name", [*DETECTORS, *ATTACKS])
def test_a_run_leaves_its_files(finished: Finished, name: str) -> None:
    record = finished.records[name]
    folder = finished.results_dir / "runs" / record.run_id
    assert sorted(path.name for path in folder.iterdir()) == [
        "examples.png",
        "outcomes.parquet",
        "record.json",
        "table.tex",
    ]
    assert r"\toprule" in (folder / "table.tex").read_text()
    metric = "acc_com" if name in DETECTORS else "robust_accuracy"
    assert f"{100 * record.rate(metric).value:.2f} [" in (folder / "table.tex").read_text()
    with Image.open(folder / "examples.png") as picture:
        assert min(picture.size) > 100
    assert json.loads((folder / "record.json").read_text())["record"]["metrics"] == record.metrics
    assert record.provenance["versions"]["torch"]
    assert record.seconds.keys() >= {"fit", "predict", "craft", "judge"}


def test_the_record_shows_whether_the_regularizer_acted(finished: Finished) -> None:
    embedding = finished.records["er1"].metrics["embedding"]
    assert embedding["prior"] == "gaussian"
    assert embedding.keys() >= {"squared_mmd", "squared_mmd_unregularized", "std", "std_unregularized"}
    assert embedding["squared_mmd"] != embedding["squared_mmd_unregularized"]
    assert "embedding" not in finished.records["kd"].metrics


def test_a_second_run_reads_the_record_and_makes_nothing(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_more: object) -> None:
        raise AssertionError("made again")

    for place in ("pipeline.fit_classifier", "fitting._train", "crafting.craft", "trained_detector.judge"):
        monkeypatch.setattr(f"bench.{place}", refuse)
    assert run(results_dir=finished.results_dir, **ER) == [finished.records["er1"]]
    again = run(results_dir=finished.results_dir, defense=["kd", "lid"], **DETECTION)
    assert again == [finished.records["kd"], finished.records["lid"]]
    assert run(results_dir=finished.results_dir, **CLASSIFICATION) == [finished.records[name] for name in ATTACKS]


def test_every_record_names_the_folder_it_lies_in(finished: Finished) -> None:
    folders = {path.name: path for path in (finished.results_dir / "runs").iterdir()}
    assert set(folders) == {record.run_id for record in finished.records.values()}
    for name, path in folders.items():
        record = load_record(Path(path))
        assert record is not None
        assert record.run_id == name
