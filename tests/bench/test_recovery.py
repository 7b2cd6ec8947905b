"""What happens to the same run when parts of what was stored are gone, damaged, or never came to be.

Expected outcomes are those of the undisturbed run of `finished`.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_runs import CLASSIFICATION, DETECTION, Ended, Finished

from attacks.pgd import PGD
from attacks.registry import ATTACKS
from bench.api import run
from bench.record import load_outcomes, load_record


def again(results_dir: Path) -> pd.DataFrame:
    (record,) = run(results_dir=results_dir, defense="kd", **DETECTION)
    return load_outcomes(results_dir / "runs" / record.run_id)


def refuse(*_arguments: object, **_more: object) -> None:
    raise AssertionError("made again")


def test_without_its_records_a_run_is_put_together_from_the_store(
    finished: Finished, stored: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bench.fitting._train", refuse)
    monkeypatch.setattr("bench.crafting.craft", refuse)
    pd.testing.assert_frame_equal(again(stored), finished.outcomes["kd"])
    assert not caplog.records


@pytest.mark.parametrize("kind", ["classifiers", "detectors", "crafted"])
def test_a_flipped_byte_is_noticed_and_the_outcomes_are_the_same(
    finished: Finished, stored: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    paths = list((stored / "store" / kind).glob("*.safetensors"))
    assert paths
    for path in paths:
        content = bytearray(path.read_bytes())
        content[-3] ^= 0x40
        path.write_bytes(content)
    pd.testing.assert_frame_equal(again(stored), finished.outcomes["kd"], rtol=1e-4, atol=1e-5)
    warned = [record.getMessage() for record in caplog.records]
    assert warned
    assert all("do not match their checksum; it is not loaded but made again" in message for message in warned)
    caplog.clear()
    shutil.rmtree(stored / "runs")
    again(stored)
    assert not caplog.records  # what was made again is sound


def call(bench: Callable[..., Ended], results_dir: Path) -> Ended:
    options = [
        f"--{name.replace('_', '-')}={','.join(value) if isinstance(value, list) else value}"
        for name, value in CLASSIFICATION.items()
    ]
    return bench("run", *options, "--results-dir", str(results_dir))


def test_one_cells_crash_leaves_the_others_and_is_no_result(
    finished: Finished, stored: Path, bench: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_arguments: object) -> None:
        raise ZeroDivisionError("the attack's own mistake")

    for path in (stored / "store" / "crafted").iterdir():
        path.unlink()
    runs = {name: stored / "runs" / finished.records[name].run_id for name in ("fgsm", "pgd")}
    with monkeypatch.context() as patch:
        patch.setitem(ATTACKS._entries, "pgd", replace(PGD, attack=crash))
        ended = call(bench, stored)
    assert ended.code == 1
    assert "standard · pgd: no numbers (error): ZeroDivisionError: the attack's own mistake" in " ".join(
        ended.out.split()
    )
    assert "cells: 1/2 (standard · fgsm: done)" in ended.err
    assert "cells: 2/2 (standard · pgd: error)" in ended.err
    failed, fine = load_record(runs["pgd"]), load_record(runs["fgsm"])
    assert failed is not None
    assert fine is not None
    assert (failed.status, failed.metrics) == ("error", {})
    assert "ZeroDivisionError" in failed.message
    assert fine.metrics == finished.records["fgsm"].metrics

    assert call(bench, stored).code == 0  # an error is tried again
    mended = load_record(runs["pgd"])
    assert mended is not None
    assert (mended.status, mended.metrics) == ("done", finished.records["pgd"].metrics)


def test_a_single_cells_crash_is_raised(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.crafting.craft", refuse)
    options: dict[str, Any] = CLASSIFICATION | {"attack": "pgd", "steps": 2}
    with pytest.raises(AssertionError, match="made again"):
        run(results_dir=stored, **options)
    assert not (stored / "runs").exists()
