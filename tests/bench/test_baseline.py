"""What a baseline keeps of a run, and its file: read back, laid out, newer, damaged, missing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import cell
from sklearn.metrics import average_precision_score, roc_auc_score
from small_runs import Finished

from attacks.errors import DataError, RequestError
from bench.canonical import full_hash, plain
from bench.gate.baseline import SCHEMA, chosen_cells, read_baseline, write_baseline
from bench.gate.measured import Measured, measured

RUNS = ("er1", "kd", "lid", "fgsm", "pgd")


@pytest.fixture(params=RUNS)
def kept(request: pytest.FixtureRequest, finished: Finished) -> tuple[Measured, Any, pd.DataFrame]:
    record, outcomes = finished.records[request.param], finished.outcomes[request.param]
    return measured(record, outcomes), record, outcomes


def test_every_rate_of_a_record_is_kept_and_follows_from_its_outcomes(kept: tuple[Measured, Any, pd.DataFrame]) -> None:
    entry, record, _ = kept
    rates = {name for name, value in record.metrics.items() if isinstance(value, dict) and "successes" in value}
    assert set(entry.rates) == rates
    assert len(rates) >= 5
    for name, rate in entry.rates.items():
        assert rate.rate == record.rate(name)
        text = "".join(rate.outcomes.values())
        if name == "clean_accuracy":
            assert text == ""
        else:
            assert (text.count("1"), text.count("1") + text.count("0")) == (rate.rate.successes, rate.rate.n)


def test_outcomes_stand_at_their_images(kept: tuple[Measured, Any, pd.DataFrame]) -> None:
    entry, _, outcomes = kept
    rows = outcomes[outcomes["role"] == "test"].set_index(["kind", "sample_id"])
    assert entry.sample_ids == sorted(rows.loc["clean"].index)
    name, column = ("acc_nadv", "flagged") if entry.ranks else ("accuracy_on_attacked", "correct")
    for kind, text in entry.rates[name].outcomes.items():
        place = "clean" if name == "accuracy_on_attacked" else kind
        expected = [bool(rows.loc[(place, sample_id), column]) for sample_id in entry.sample_ids]
        assert [sign == "1" for sign in text] == [value != (column == "flagged") for value in expected]


def test_rankings_follow_from_the_ranks(kept: tuple[Measured, Any, pd.DataFrame]) -> None:
    entry, record, _ = kept
    if not entry.ranks:
        assert not {"auroc", "aupr"} & set(entry.numbers)
        return
    pairs = [(rank, kind == "adversarial") for kind in entry.ranks for rank in entry.ranks[kind] if rank is not None]
    ranks, labels = zip(*pairs, strict=True)
    assert roc_auc_score(labels, ranks) == pytest.approx(record.number("auroc"), abs=1e-12)
    assert average_precision_score(labels, ranks) == pytest.approx(record.number("aupr"), abs=1e-12)
    assert entry.numbers["auroc"].n == len(ranks)


def test_the_strength_of_an_attack(finished: Finished) -> None:
    def of(name: str) -> Measured:
        return measured(finished.records[name], finished.outcomes[name])

    kd, fgsm, pgd = of("kd"), of("fgsm"), of("pgd")
    # C&W: the distance of those it reached the goal for; FGSM: margins; PGD until success: nothing beyond success
    known = [value for value in kd.strengths if value is not None]
    assert kd.numbers["median_l2"].value == pytest.approx(finished.records["kd"].number("median_l2"), rel=1e-5)
    assert len(known) == kd.numbers["median_l2"].n == kd.rates["reached"].rate.successes
    rows = finished.outcomes["fgsm"].query("kind == 'adversarial'").set_index("sample_id")["margin"]
    right = [
        i for i, sign in zip(fgsm.sample_ids, fgsm.rates["reached"].outcomes["adversarial"], strict=True) if sign != "."
    ]
    assert fgsm.numbers["median_margin"].value == pytest.approx(np.median(rows[right]), rel=1e-5)
    assert set(pgd.numbers) == set()


def test_a_rate_that_its_outcomes_deny_is_refused(finished: Finished) -> None:
    outcomes = finished.outcomes["pgd"].copy()
    adversarial = (outcomes["kind"] == "adversarial").to_numpy().nonzero()[0][0]
    outcomes.loc[adversarial, "reached"] = not outcomes.loc[adversarial, "reached"]
    with pytest.raises(DataError, match=r"reached is recorded as .* its outcomes give"):
        measured(finished.records["pgd"], outcomes)
    with pytest.raises(RequestError, match="of an older version"):
        measured(replace(finished.records["pgd"], request={}), finished.outcomes["pgd"])


# ---- the file


@pytest.fixture
def path(finished: Finished, tmp_path: Path) -> Path:
    write_baseline(tmp_path / "b.json", [measured(finished.records[name], finished.outcomes[name]) for name in RUNS])
    return tmp_path / "b.json"


def test_what_is_written_is_read(path: Path, finished: Finished) -> None:
    cells = read_baseline(path)
    assert list(cells) == [measured(finished.records[name], finished.outcomes[name]) for name in RUNS]
    before = path.read_bytes()
    write_baseline(path, cells)
    assert path.read_bytes() == before


def test_one_line_a_metric_with_sorted_keys(path: Path, finished: Finished) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for name in ("acc_nadv", "auroc", "reached"):
        found = [line for line in lines if line.strip().startswith(f'"{name}":')]
        assert len(found) == sum(name in finished.records[run].metrics for run in RUNS)
        assert all(line.count("{") == line.count("}") > 0 for line in found)
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    assert list(first) == sorted(first)
    assert list(first["rates"]) == sorted(first["rates"])


def damaged(path: Path, change: Callable[[str], str]) -> str:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DataError) as refusal:
        read_baseline(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_damage_is_told_in_one_line(path: Path) -> None:
    whole = path.read_text(encoding="utf-8")
    assert "is damaged" in damaged(path, lambda text: text[: len(text) // 2])
    for change in (lambda _: "[]", lambda _: "", lambda _: '{"schema": "one"}', lambda _: '{"schema": 1}'):
        assert "is damaged" in damaged(path, change)
    message = damaged(path, lambda _: whole.replace('"11', '"10', 1))
    assert "does not match its checksum" in message
    assert "--update" in message


def test_a_sound_checksum_over_the_wrong_fields_is_damage(path: Path) -> None:
    body = [{"label": "x"}]
    message = damaged(path, lambda _: json.dumps({"schema": 1, "cells": body, "sha256": full_hash(body)}))
    assert "is damaged" in message


def test_a_newer_schema_says_so(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) | {"schema": SCHEMA + 1, "cells": "of another shape"}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RequestError, match=rf"has schema {SCHEMA + 1}, this version reads up to {SCHEMA}"):
        read_baseline(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"there is no baseline .*none.json; `bench check --update"):
        read_baseline(tmp_path / "none.json")
    with pytest.raises(RequestError, match="cannot be read: Is a directory"):
        read_baseline(tmp_path)


# ---- choosing among its cells


def test_options_choose_cells(path: Path) -> None:
    cells = read_baseline(path)

    def chosen(**values: list[Any]) -> list[str]:
        return [entry.spec["defense"] + " " + entry.spec["attack"] for entry in chosen_cells(cells, values, path)]

    assert len(chosen()) == len(RUNS)
    assert chosen(defense=["kd", "er1"]) == ["er1 cw", "kd cw"]
    assert chosen(attack=["pgd"], defense=["standard"]) == ["standard pgd"]
    assert chosen(confidence=[2.0], attack=["cw"]) == ["er1 cw", "kd cw", "lid cw"]
    assert chosen(seed=[0], n_test=[20]) == chosen()
    assert chosen(epochs=[6]) == ["er1 cw"]
    for values, says in (
        ({"protocol": ["paper"]}, "no cell of protocol paper, only of sound"),
        ({"attack": ["cw"], "confidence": [9.0]}, "no cell of confidence 9.0, only of 2"),
        ({"seed": [1, 2]}, "no cell of seed 1, 2, only of 0"),
    ):
        with pytest.raises(RequestError, match=says):
            chosen(**values)


def test_a_hand_made_cell_survives_the_file(tmp_path: Path) -> None:
    entry = cell({"reached": "10.1"}, numbers={"median_l2": 1.5}, strengths=[1.0, None, None, 2.0])
    write_baseline(tmp_path / "b.json", [entry])
    (again,) = read_baseline(tmp_path / "b.json")
    assert again == entry
    assert plain(again) == plain(entry)
