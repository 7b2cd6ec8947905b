"""What a newcomer waits for: the default run, its repetition, and `bench --help`.

    python benchmarks/first_run.py

Prints wall seconds (median of the repetitions, and their range) and the peak memory of the largest process, and
writes the table to results/benchmarks/first_run.md. Each default run starts from an empty results folder.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

BENCH = Path(sys.executable).with_name("bench")
RUN = ("run", "--defense", "er1", "--attack", "cw", "--confidence", "20")
OUT = Path(__file__).parents[1] / "results" / "benchmarks" / "first_run.md"
LIMITS = {"first run": 60.0, "second run": 10.0, "bench --help": 0.3}


def measure(arguments: tuple[str, ...], results: Path) -> float:
    """Wall seconds of one process."""
    environment = os.environ | {"ERBENCH_RESULTS": str(results)}
    start = time.perf_counter()
    subprocess.run([BENCH, *arguments], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and write."""
    first, second = [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            first.append(measure(RUN, Path(folder)))
            second.append(measure(RUN, Path(folder)))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    with tempfile.TemporaryDirectory() as folder:
        helps = [measure(("--help",), Path(folder)) for _ in range(11)]
    rows = [
        [name, f"{statistics.median(times):.2f}", f"{min(times):.2f}-{max(times):.2f}", len(times), LIMITS[name]]
        for name, times in (("first run", first), ("second run", second), ("bench --help", helps))
    ]
    table = tabulate(rows, headers=["what", "median s", "range s", "runs", "aim s"], tablefmt="github")
    text = f"{table}\n\nPeak memory of the largest process: {peak} MB (aim: 2,000). {os.cpu_count()} CPU cores.\n"
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
