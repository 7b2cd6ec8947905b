"""A run that is interrupted: how it ends, and that the same command goes on from there (exit code 130 is a shell's)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.record import load_records


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    results = tmp_path / "results"
    options = ["--n-train", "400", "--epochs", "20", "--n-test", "60", "--steps", "100", "--search-steps", "2"]
    command = [
        sys.executable,
        "-c",
        "from bench.cli import main; main()",
        "run",
        "--defense",
        "standard",
        "--attack",
        "cw",
    ]
    command += [*options, "--results-dir", str(results)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}

    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    while not list((results / "store" / "classifiers").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 10
    assert process.returncode == 130
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    assert out == ""
    assert not (results / "runs").exists()
    (trained,) = (results / "store" / "classifiers").glob("*.safetensors")
    before = trained.stat().st_mtime_ns

    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert trained.stat().st_mtime_ns == before
    assert [record.status for record in load_records(results)] == ["done"]
