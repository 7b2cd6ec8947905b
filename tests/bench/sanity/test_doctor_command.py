"""`bench doctor`: what it prints, leaves behind and ends with."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from class_means import bring
from small_runs import Ended, Finished

from bench.record import load_record
from bench.tables.metrics_table import metrics_table

Bench = Callable[..., Ended]


@pytest.fixture
def results(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished runs, records and store."""
    shutil.copytree(finished.results_dir, tmp_path / "results")
    return tmp_path / "results"


def test_a_budget_of_three_short_steps_is_flagged_and_marked(finished: Finished, results: Path, bench: Bench) -> None:
    """Three steps of 0.01 cannot span a ball of 0.3."""
    record = finished.records["pgd"]
    assert [flag["name"] for flag in record.flags] == ["steps-too-short"]  # by the run itself
    ended = bench("doctor", record.run_id[:8], "--results-dir", str(results), "--quiet")
    assert ended.code == 1, ended.err
    assert "steps-too-short" in ended.out
    assert "budget-too-small" in ended.out
    assert "FLAGGED" in ended.out
    assert "not applicable" in ended.out
    assert "1 record examined, 1 flagged" in ended.out
    found = json.loads((results / "runs" / record.run_id / "doctor.json").read_text())["diagnosis"]
    flagged = {verdict["check"] for verdict in found["verdicts"] if verdict["status"] == "FLAGGED"}
    assert {"steps-too-short", "budget-too-small"} <= flagged
    again = load_record(results / "runs" / record.run_id)
    assert again is not None
    assert {flag["name"] for flag in again.flags} == flagged
    cells = {row[0]: row[1] for row in metrics_table([again])}
    assert cells["robust accuracy"].endswith(" (!)")
    assert not cells["clean accuracy"].endswith("(!)")
    assert "(!) sanity flags: standard" in bench("table", record.run_id, "--results-dir", str(results)).out
    printed = bench("run", *record.command.split()[2:], "--results-dir", str(results))
    assert "(!) flag budget-too-small (standard · pgd): " in printed.out


def test_a_record_made_again_does_not_inherit_flags(finished: Finished, results: Path, bench: Bench) -> None:
    folder = results / "runs" / finished.records["pgd"].run_id
    bench("doctor", folder.name, "--results-dir", str(results), "--quiet")
    path = folder / "doctor.json"
    path.write_text(path.read_text().replace('"record_sha256": "', '"record_sha256": "0'))
    changed = load_record(folder)
    assert changed is not None
    assert changed.flags == finished.records["pgd"].flags


def test_pruned_images_are_named_with_the_command_that_crafts_them(
    finished: Finished, results: Path, bench: Bench
) -> None:
    record = finished.records["fgsm"]
    for path in (results / "store" / "crafted").iterdir():
        path.unlink()
    ended = bench("doctor", record.run_id, "--results-dir", str(results), "--quiet")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert f"remove {results / 'runs' / record.run_id} and run: {record.command}" in ended.err
    assert not (results / "runs" / record.run_id / "doctor.json").exists()


def test_of_several_records_one_that_cannot_be_examined_keeps_no_other_from_it(
    finished: Finished, results: Path, bench: Bench
) -> None:
    pgd, fgsm = (finished.records[name] for name in ("pgd", "fgsm"))
    for key in fgsm.stored["test"]:
        (results / "store" / "crafted" / f"{key}.json").unlink()
    ended = bench("doctor", fgsm.run_id, pgd.run_id, "--results-dir", str(results), "--quiet")
    assert ended.code == 1
    assert f"{fgsm.run_id}: cannot be examined: " in ended.out
    assert "1 record examined, 1 flagged" in ended.out


def test_wrong_requests_end_with_two(results: Path, bench: Bench, tmp_path: Path) -> None:
    for arguments, says in (
        (("ffff",), "no record ffff under"),
        (("--weights", "mine.pt"), "--weights needs --model"),
        (("--results-dir", str(tmp_path / "nothing")), "no records under"),
    ):
        ended = bench(
            "doctor", "--quiet", *(() if "--results-dir" in arguments else ("--results-dir", str(results))), *arguments
        )
        assert (ended.code, ended.out) == (2, "")
        assert says in ended.err


def test_a_detectors_rows_and_its_classifier_are_both_examined(finished: Finished, results: Path, bench: Bench) -> None:
    ended = bench("doctor", finished.records["er1"].run_id, "--results-dir", str(results), "--quiet")
    table = {line.split()[0]: line for line in ended.out.splitlines() if line.strip()}
    for check in ("won-by-flagging", "threshold-not-from-clean", "unbounded-attack-fails", "black-box-wins"):
        assert "not applicable" not in table[check], table[check]
    assert "not applicable" in table["budget-too-small"]


def test_a_users_own_model_is_given_again(tmp_path: Path, bench: Bench) -> None:
    """The nearest class mean at a budget that it mostly withstands: nothing is wrong with that."""
    own = bring(tmp_path)
    place = ["--results-dir", str(tmp_path / "results"), "--quiet"]
    attack = ["--attack", "pgd", "--epsilon", "0.05", "--step-size", "0.01", "--steps", "20", "--n-test", "30"]
    assert bench("run", *own, *attack, *place).code == 0
    without = bench("doctor", *place)
    assert without.code == 2
    assert "give it with --model and --weights" in without.err
    examined = bench("doctor", *own, *place)
    assert (examined.code, "FLAGGED" in examined.out) == (0, False), examined.out
