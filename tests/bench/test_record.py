"""Records: what is read is what was written, and a changed number is never used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.metrics.rates import rate
from bench.record import Record, load_outcomes, load_record, load_records, save_record

OUTCOMES = pd.DataFrame(
    {"sample_id": [1, 2], "kind": ["clean", "adversarial"], "correct": [True, False], "l2": [0, 0.1]}
)


@pytest.fixture
def record(make_record: Callable[..., Record]) -> Record:
    return make_record()


@pytest.fixture
def folder(tmp_path: Path, record: Record) -> Path:
    folder = tmp_path / "runs" / record.run_id
    save_record(folder, record, OUTCOMES)
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    envelope = json.loads((folder / "record.json").read_text())
    change(envelope["record"])
    (folder / "record.json").write_text(json.dumps(envelope))


def test_round_trip(folder: Path, record: Record, caplog: pytest.LogCaptureFixture) -> None:
    assert load_record(folder) == record
    pd.testing.assert_frame_equal(load_outcomes(folder), OUTCOMES)
    assert load_records(folder.parents[1]) == [record]
    assert sorted(path.name for path in folder.iterdir()) == ["outcomes.parquet", "record.json"]
    assert not caplog.records


def test_metrics_come_back_as_they_were(record: Record) -> None:
    assert record.rate("acc_com") == rate(11, 97)
    assert record.number("auroc") == 0.5
    assert record.rate("auroc") is None
    assert record.number("acc_com") is None
    assert record.rate("unheard_of") is record.number("unheard_of") is None


def test_a_record_without_outcomes(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    record = make_record(status="not-converged")
    save_record(tmp_path / record.run_id, record, None)
    assert load_record(tmp_path / record.run_id) == record


def test_a_record_in_another_runs_folder_is_not_used(
    tmp_path: Path, make_record: Callable[..., Record], caplog: pytest.LogCaptureFixture
) -> None:
    save_record(tmp_path / "elsewhere", make_record(), None)
    assert load_record(tmp_path / "elsewhere") is None
    assert "not of this folder" in caplog.text


def test_no_record_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_record(tmp_path / "nowhere") is None
    assert load_records(tmp_path / "nowhere") == []
    assert not caplog.records


def test_a_changed_metric_is_not_used(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit(folder, lambda body: body["metrics"]["acc_com"].update(successes=97, value=1.0))
    assert load_record(folder) is None
    assert "record.json does not match its checksum" in caplog.text
    assert load_records(folder.parents[1]) == []


@pytest.mark.parametrize("change", ["rewritten", "missing"])
def test_changed_outcomes_are_not_used(folder: Path, change: str, caplog: pytest.LogCaptureFixture) -> None:
    path = folder / "outcomes.parquet"
    if change == "missing":
        path.unlink()
    else:
        OUTCOMES.assign(correct=True).to_parquet(path, index=False)
    assert load_record(folder) is None
    assert "outcomes.parquet" in caplog.text


def test_a_newer_schema_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit(folder, lambda body: body.update(schema=99))
    assert load_record(folder) is None
    assert "has schema 99, this version reads up to 4" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"record": {}}', '{"record": {"schema": null}}', "\x00"])
def test_foreign_files_are_skipped_with_a_warning(folder: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "record.json").write_text(text)
    assert load_record(folder) is None
    assert "it is not used" in caplog.text


def test_damaged_records_do_not_hide_sound_ones(
    folder: Path, record: Record, make_record: Callable[..., Record], caplog: pytest.LogCaptureFixture
) -> None:
    other = make_record(seed=1)
    save_record(folder.parent / other.run_id, other, None)
    (folder / "record.json").write_text("{")
    assert load_records(folder.parents[1]) == [other]
    assert record.run_id in caplog.text
