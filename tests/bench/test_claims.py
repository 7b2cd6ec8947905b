"""Claims: one holder at a time, across processes, and none that is dead."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from attacks.errors import DataError
from bench.storage.claims import BusyError, Claims

HOLD = """
import sys, time
from pathlib import Path
from bench.storage.claims import Claims
with Claims(Path(sys.argv[1])).held("thing"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "claims")


def holding(root: Path) -> subprocess.Popen[str]:
    """A process that has claimed "thing" and keeps it."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_holder_at_a_time(claims: Claims) -> None:
    with claims.tried("thing") as first, claims.tried("thing") as second, claims.tried("other") as other:
        assert (first, second, other) == (True, False, True)
    with claims.tried("thing") as again:
        assert again


def test_nothing_is_left_behind(claims: Claims) -> None:
    with claims.held("thing"):
        assert list(claims.root.iterdir())
    assert list(claims.root.iterdir()) == []


def test_the_holder_says_who_it_is(claims: Claims) -> None:
    assert claims.holder("thing") is None
    with claims.held("thing"):
        holder = claims.holder("thing")
    assert holder is not None
    assert f"process {os.getpid()} on " in str(holder)
    assert " since 20" in str(holder)


def test_who_does_not_wait_is_told_at_once(claims: Claims) -> None:
    hurried = Claims(claims.root, patience=0)
    with claims.held("thing"):
        start = time.monotonic()
        with pytest.raises(BusyError, match="thing"), hurried.held("thing"):
            pass
        assert time.monotonic() - start < 0.5
    with hurried.held("thing"), claims.tried("thing") as second:
        assert not second


def test_patience_ends(claims: Claims, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("bench.storage.claims.TELL_AFTER", 0.1)
    caplog.set_level(logging.INFO, logger="erbench.claims")
    with claims.held("thing"):
        start = time.monotonic()
        with pytest.raises(BusyError, match="thing"), Claims(claims.root, patience=0.3).held("thing"):
            pass
        assert 0.25 < time.monotonic() - start < 2
    assert "waiting for thing" in caplog.text


def test_a_dead_holder_holds_nothing(claims: Claims) -> None:
    process = holding(claims.root)
    with claims.tried("thing") as mine:
        assert not mine
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    with claims.tried("thing") as mine:
        assert mine


def test_waiting_says_for_whom(
    claims: Claims, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.storage.claims.TELL_AFTER", 0.1)
    caplog.set_level(logging.INFO, logger="erbench.claims")
    process = holding(claims.root)
    killer = threading.Timer(0.5, process.kill)
    killer.start()
    start = time.monotonic()
    with claims.held("thing"):
        assert 0.3 < time.monotonic() - start < 10
    assert f"waiting for thing, held by process {process.pid} on " in caplog.text
    process.wait(10)


def test_waiters_take_turns(claims: Claims) -> None:
    """Ten threads that each add one to a number in a file lose none."""
    counter = claims.root.parent / "count"
    counter.write_text("0")

    def add() -> None:
        for _ in range(5):
            with Claims(claims.root).held("count"):
                counter.write_text(str(int(counter.read_text()) + 1))

    threads = [threading.Thread(target=add) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counter.read_text() == "50"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot write to"), Claims(tmp_path / "claims").tried("thing"):
        pass
