"""A run that is interrupted: how it ends, and that the same command goes on from there (exit code 130 is a shell's)."""

import signal
import time
from pathlib import Path

from processes import end, start

from bench.record import load_records


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    results = tmp_path / "results"
    options = ["--n-train", "400", "--epochs", "20", "--n-test", "60", "--steps", "100", "--search-steps", "2"]
    command = ["run", "--defense", "standard", "--attack", "cw", *options, "--results-dir", str(results)]

    process = start(*command)
    deadline = time.monotonic() + 120
    while not list((results / "store" / "classifiers").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    interrupted = end(process, timeout=60)
    assert time.monotonic() - sent < 10
    assert interrupted.code == 130
    assert "the same command goes on from there" in interrupted.err
    assert "Traceback" not in interrupted.err
    assert interrupted.out == ""
    assert not (results / "runs").exists()
    (trained,) = (results / "store" / "classifiers").glob("*.safetensors")
    before = trained.stat().st_mtime_ns

    done = end(start(*command), timeout=120)
    assert done.code == 0, done.err
    assert trained.stat().st_mtime_ns == before
    assert [record.status for record in load_records(results)] == ["done"]
