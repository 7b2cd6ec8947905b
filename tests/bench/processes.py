"""The program in a process of its own, for what one process cannot show: exit codes, signals, tracebacks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from small_runs import Ended


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start `bench ARGUMENTS` on one thread; its output is piped."""
    command = [sys.executable, "-c", "from bench.cli import main; main()", *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=hear_interrupts,  # noqa: PLW1509  # no thread holds a lock here
    )


def hear_interrupts() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end(process: subprocess.Popen[str], timeout: float) -> Ended:
    """Wait for the process's own end, `timeout` seconds at most."""
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out, err)
