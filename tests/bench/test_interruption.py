"""Ctrl-C and SIGTERM: the program ends at once with one line, and the same command goes on from there.

Exit code 130 is a shell's for Ctrl-C. The promise is a second; a busy machine is given `PATIENCE`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import end, hear_interrupts, start

from bench.cli import interruption
from bench.record import load_records

PATIENCE = 3.0  # seconds
ONE_LINE = "interrupted; what is finished is kept, the same command goes on from there"
LONG = ["--n-train", "400", "--epochs", "20", "--n-test", "60", "--steps", "1000", "--search-steps", "9"]


def started(results: Path, *more: str, until: str) -> subprocess.Popen[str]:
    """A long run, once a claim of the pattern `until` is held."""
    process = start("run", "--defense=standard", "--attack=cw", *LONG, "--quiet", *more, "--results-dir", str(results))
    deadline = time.monotonic() + 120
    while not list((results / "store" / "claims").glob(until)) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


def descendants(pid: int) -> list[int]:
    """Processes below `pid`."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [below for child in children for below in descendants(child)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("number", "until"),
    [(signal.SIGINT, "classifiers-*.holder"), (signal.SIGTERM, "crafted-*.holder")],
    ids=["Ctrl-C while training", "SIGTERM while crafting"],
)
def test_a_signal_ends_the_program_at_once_and_a_second_one_changes_nothing(
    tmp_path: Path, number: signal.Signals, until: str
) -> None:
    process = started(tmp_path, until=until)
    sent = time.monotonic()
    process.send_signal(number)
    time.sleep(0.02)
    process.send_signal(number)
    ended = end(process, timeout=60)
    assert time.monotonic() - sent < PATIENCE
    assert ended.code == 130
    assert ended.err.split("\n") == [ONE_LINE, ""]
    assert ended.out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds worker processes in /proc")
def test_workers_end_with_the_program(tmp_path: Path) -> None:
    process = started(tmp_path, "--jobs", "2", until="classifiers-*.holder")
    workers = descendants(process.pid)
    assert len(workers) >= 2
    sent = time.monotonic()
    for pid in [process.pid, *workers]:  # as a terminal sends it, to all of them
        os.kill(pid, signal.SIGINT)
    ended = end(process, timeout=60)
    assert time.monotonic() - sent < PATIENCE
    assert (ended.code, ended.err, ended.out) == (130, f"{ONE_LINE}\n", "")
    while any(map(is_alive, workers)) and time.monotonic() - sent < PATIENCE:
        time.sleep(0.01)
    assert not any(map(is_alive, workers))


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    results = tmp_path / "results"
    options = ["--n-train", "400", "--epochs", "20", "--n-test", "60", "--steps", "100", "--search-steps", "2"]
    command = ["run", "--defense", "standard", "--attack", "cw", *options, "--results-dir", str(results)]

    process = start(*command)
    deadline = time.monotonic() + 120
    while not list((results / "store" / "classifiers").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    interrupted = end(process, timeout=60)
    assert interrupted.code == 130
    (trained,) = (results / "store" / "classifiers").glob("*.safetensors")
    before = trained.stat().st_mtime_ns

    done = end(start(*command), timeout=120)
    assert done.code == 0, done.err
    assert trained.stat().st_mtime_ns == before
    assert [record.status for record in load_records(results)] == ["done"]


def test_without_a_signal_errors_pass_and_signals_are_left_as_they_were() -> None:
    def fail() -> None:
        assert [signal.getsignal(number) for number in interruption.SIGNALS] != before
        raise ZeroDivisionError

    before = [signal.getsignal(number) for number in interruption.SIGNALS]
    with pytest.raises(ZeroDivisionError), interruption.interruptible():
        fail()
    assert [signal.getsignal(number) for number in interruption.SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


AT = {
    "code that makes something else of it": "raise ImportError from error",
    "code that hears of it too late": "time.sleep(60)",
}


@pytest.mark.parametrize("reaction", AT.values(), ids=AT)
def test_whatever_the_program_is_at_it_ends_with_one_line(reaction: str) -> None:
    code = (
        "import time\n"
        "from bench.cli.interruption import interruptible\n"
        "with interruptible():\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "    except KeyboardInterrupt as error:\n"
        f"        {reaction}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,  # noqa: PLW1509  # no thread holds a lock here
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    ended = end(process, timeout=50)
    assert time.monotonic() - sent < PATIENCE
    assert (ended.code, ended.err) == (130, f"{ONE_LINE}\n")
