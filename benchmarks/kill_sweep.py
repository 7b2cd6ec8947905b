"""A small grid killed again and again (`SIGKILL`), started again each time, and compared with one left alone.

    python benchmarks/kill_sweep.py [--kills 50] [--seed 0] [--workers 2] [--results-dir DIR]

The grid trains a classifier, an ER network and its unregularized twin, fits a detector on each, crafts chunks for sets
I and II, judges and writes records. Half of the kills come at a random moment; each of the others waits until a station
comes up, the one hit least so far, since the short ones would hardly be hit otherwise. After every kill all that lies
in the folder must be whole; once the grid is finished the next pass begins in an empty folder. Writes
results/benchmarks/kills.md.
"""

import argparse
import json
import multiprocessing
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

if __name__ == "__main__":  # a script's folder is on the path, where attacks.py would stand in for the package
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.record import load_records
from benchmarks.undisturbed import Undisturbed, read_everything, require, require_equal

OUT = Path(__file__).parents[1] / "results" / "benchmarks" / "kills.md"
STATIONS = (
    "training",
    "fitting the detector",
    "crafting set I",
    "crafting set II",
    "predicting or judging",
    "writing the record",
)
ELSEWHERE = "starting, or between two claims"
PRELOADED = [  # all that a start would import, much of it late
    "bench.sweep",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "pyarrow.parquet",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "torch._dynamo",
]
# two chunks for set I and three for set II, of which two are crafted together
PGD = {"attack": ["pgd"], "steps": [20], "n_train": [200], "n_fit": [60], "n_test": [110]}
GRID = ({"defense": ["er1"], "epochs": [7]} | PGD, {"defense": ["kd"], "epochs": [30]} | PGD)
LONGEST_LIFE = 0.25  # of a start, as a share of an undisturbed pass: ten kills or so a pass, half of them for nothing
LOOK_EVERY = 0.002  # seconds between two looks at where a start is


@dataclass(slots=True, kw_only=True)
class Tally:
    """stations: kills by station; passes: finished grids; starts: of processes; seconds: of all passes."""

    stations: Counter[str] = field(default_factory=Counter)
    passes: int = 0
    starts: int = 0
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """All of them."""
        return self.stations.total()


def leave_alone(folder: Path) -> Undisturbed:
    """Run the grid in `folder` once, by one process that nobody disturbs."""
    _kill(_start(folder, 0))  # the first start waits for all that is imported
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    process = _start(folder, 0)
    process.join()
    seconds = time.monotonic() - started
    require(process.exitcode == 0, f"the undisturbed grid ended with exit code {process.exitcode}")
    records = {record.run_id: record for record in load_records(folder)}
    failed = [f"{record.label}: {record.message}" for record in records.values() if record.status != "done"]
    require(len(records) == len(GRID) and not failed, f"the undisturbed grid gives no numbers: {failed}")
    return Undisturbed(folder=folder, records=records, digests=read_everything(folder), seconds=seconds)


def kill_and_compare(undisturbed: Undisturbed, folder: Path, *, kills: int, seed: int, workers: int = 1) -> Tally:
    """Kill sweeps of the grid below `folder` until `kills` processes have been killed, and compare every pass.

    Args:
        undisturbed: what every pass must end with.
        folder: emptied before each pass.
        kills: how many; the pass of the last one is finished undisturbed.
        seed: of the moments.
        workers: processes that sweep the same folder at once; one or more of them are killed at a time.

    Raises:
        AssertionError: something half-written was found, a start complained or failed, or a pass ended otherwise.
    """
    draw, tally = random.Random(seed), Tally()
    started = time.monotonic()
    while tally.kills < kills:
        shutil.rmtree(folder, ignore_errors=True)
        _one_pass(undisturbed, folder, draw, tally, kills, workers)
        require_equal(undisturbed, folder)
        tally.passes += 1
    tally.seconds = time.monotonic() - started
    return tally


def _one_pass(
    undisturbed: Undisturbed, folder: Path, draw: random.Random, tally: Tally, kills: int, workers: int
) -> None:
    """Start and kill until the grid is finished."""
    running = {number: _start(folder, number) for number in range(workers)}
    tally.starts += workers
    try:
        while running:
            _wait_for_moment(undisturbed, folder, list(running.values()), draw, tally, has_kills=tally.kills < kills)
            alive = [number for number, process in running.items() if process.is_alive()]
            victims = draw.sample(alive, draw.randint(1, len(alive))) if alive else []
            for number in victims[: max(0, kills - tally.kills)]:
                _kill(running[number])
                if running[number].exitcode == -signal.SIGKILL:  # not ended by itself at the last moment
                    tally.stations[_station(undisturbed, folder, running[number].pid)] += 1
            ended = {number: process for number, process in running.items() if not process.is_alive()}
            read_everything(folder, is_quiet=len(ended) == len(running))
            for number, process in ended.items():
                del running[number]
                if process.exitcode == -signal.SIGKILL:
                    running[number] = _start(folder, number)
                    tally.starts += 1
                else:
                    require(process.exitcode == 0, f"a start ended with exit code {process.exitcode}")
    finally:
        for process in running.values():
            _kill(process)


def _wait_for_moment(
    undisturbed: Undisturbed,
    folder: Path,
    running: list[BaseProcess],
    draw: random.Random,
    tally: Tally,
    *,
    has_kills: bool,
) -> None:
    """Return when it is time to kill, or when a process has ended by itself."""
    longest = LONGEST_LIFE * undisturbed.seconds
    rarest = min(STATIONS, key=lambda station: (tally.stations[station], draw.random()))
    aim = rarest if draw.random() < (0.5 if tally.stations[rarest] else 0.9) else None
    at_latest = time.monotonic() + (longest if aim else longest * draw.random())
    while all(process.is_alive() for process in running):
        if has_kills and time.monotonic() >= at_latest:
            return
        if has_kills and aim and any(_station(undisturbed, folder, process.pid) == aim for process in running):
            time.sleep(draw.choice((0, 0, 0.005, 0.1)) * draw.random())
            return
        time.sleep(LOOK_EVERY)


def _station(undisturbed: Undisturbed, folder: Path, pid: int | None) -> str:
    """What a process is, or was when it was killed, at: by the claims that name it."""
    claims = _claims_of(folder, pid)
    sets = undisturbed.sets
    for name, since in sorted(claims.items()):  # "run-..." is the last
        kind, _, key = name.partition("-")
        if kind == "classifiers":
            return "training"
        if kind == "detectors":
            return "fitting the detector"
        if kind == "crafted":
            return sets[key]
        with suppress(OSError):
            if kind == "run" and any(path.stat().st_mtime_ns > since for path in (folder / "runs" / key).iterdir()):
                return "writing the record"
    return "predicting or judging" if claims else ELSEWHERE


def _claims_of(folder: Path, pid: int | None) -> dict[str, int]:
    """Names of the claims whose holder's note names the process, and when each was written (ns)."""
    found = {}
    for note in (folder / "store" / "claims").glob("*.holder"):
        with suppress(OSError, ValueError):
            if json.loads(note.read_text())["pid"] == pid:
                found[note.stem] = note.stat().st_mtime_ns
    return found


def _start(folder: Path, number: int) -> BaseProcess:
    """Sweep the grid in `folder` in a new process, each `number` from another cell on.

    It is forked from a server that has imported everything: importing takes longer than most starts live.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_sweep, args=(folder, number))
    process.start()
    return process


def _sweep(folder: Path, number: int) -> None:
    import logging

    import torch

    from bench.sweep import plan, sweep
    from bench.workspace import Workspace

    class Strict(logging.Handler):
        """What is only told elsewhere, damage above all, is an error here."""

        def emit(self, record: logging.LogRecord) -> None:
            raise AssertionError(f"it was said: {record.getMessage()}")

    torch.set_num_threads(1)
    logging.getLogger("erbench").addHandler(Strict(logging.WARNING))
    workspace = Workspace(results_dir=folder)
    cells = [cell for values in GRID for cell in plan(values, workspace)]
    first = number % len(cells)
    for _ in sweep(cells[first:] + cells[:first], workspace, keep_errors=False):
        pass


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join()


def render(tally: Tally, undisturbed: Undisturbed, workers: int) -> str:
    """The tally as Markdown."""
    from tabulate import tabulate

    rows = [(station, tally.stations[station]) for station in (*STATIONS, ELSEWHERE)]
    table = tabulate(rows, headers=["station", "kills"], tablefmt="github")
    at_once = f"{workers} sweeps of one folder at once" if workers > 1 else "one sweep at a time"
    return (
        f"## {tally.kills} kills, {at_once}\n\n{table}\n\n"
        f"{tally.passes} passes through the grid, {tally.starts} starts, {tally.seconds:.0f} s "
        f"(undisturbed, one pass takes {undisturbed.seconds:.1f} s). After every kill all that lay in the folder was "
        "whole; every pass ended with the undisturbed grid's files, tensors, metrics and outcomes, exactly.\n"
    )


@contextmanager
def _folder(asked: Path | None) -> Iterator[Path]:
    if asked is not None:
        yield asked
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def main() -> None:
    """Kill, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kills-of-two", type=int, default=12, help="with two sweeps of one folder at once")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--results-dir", type=Path, help="where the grids go; by default a temporary folder")
    asked = parser.parse_args()
    texts = []
    with _folder(asked.results_dir) as folder:
        undisturbed = leave_alone(folder / "undisturbed")
        for workers, kills in ((1, asked.kills), (2, asked.kills_of_two)):
            tally = kill_and_compare(undisturbed, folder / "killed", kills=kills, seed=asked.seed, workers=workers)
            texts.append(render(tally, undisturbed, workers))
    texts.append(f"{os.cpu_count()} CPU cores, {platform.system()}; one thread a process.\n")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("\n".join(texts))
    print("\n".join(texts))


if __name__ == "__main__":
    main()
