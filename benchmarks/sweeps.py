"""What the harness itself costs: a finished grid asked for again, a cell beside its bare attack, tables, workers.

    python benchmarks/sweeps.py [--data-dir DATA] [--results-dir RESULTS] [--only again,overhead,table,workers]

- again: `bench run` on a finished grid of 100 cells (digits), as a whole process; with the note of the command, and
  planned anew.
- overhead: PGD-40 on 1,000 MNIST images, as a cell of a sweep (crafting, storing, judging, picture, record; trained
  network and clean predictions in the store) and as the attack alone on the same images in the same batches. They take
  turns. Recipe quick's `standard` network is trained or found.
- table: `bench table` over 10,000 records, one real one under other seeds, as a whole process.
- workers: one attack of many chunks (PGD, every step, MNIST) by one and by two Ray workers of one thread each on a
  running cluster, from the start of the sweep to its record.

Writes results/benchmarks/sweeps_NAME.md, a file a measurement.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

# Python puts a script's folder on the path, where its neighbor attacks.py would stand in for the package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from tabulate import tabulate

from bench.cell import Cell
from bench.crafting import attack
from bench.executors.driver import Crew, swept_by
from bench.order import Order, Victims
from bench.pipeline import open_studio, run_claimed
from bench.record import load_outcomes, load_records, save_record
from bench.sweep import plan
from bench.workspace import Workspace

OUT = Path(__file__).parents[1] / "results" / "benchmarks"
PROGRAM = [sys.executable, "-c", "from bench.cli import main; main()"]
EPSILONS = ",".join(f"{number / 100:g}" for number in range(1, 51))
BATCH = 100
Work = Callable[[], float]
"""() -> seconds."""


def program(*arguments: str) -> float:
    """Seconds that `bench ARGUMENTS` takes as a process of its own."""
    environment = os.environ | {"PYTHONPATH": sys.path[0]}
    start = time.perf_counter()
    subprocess.run([*PROGRAM, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def in_turns(contenders: Mapping[str, Work], runs: int) -> dict[str, list[float]]:
    """Seconds of each contender's runs; they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, contender in contenders.items():
            seconds[name].append(contender())
            print(f"  {name}: {seconds[name][-1]:.2f} s", flush=True)
    return seconds


def table_of(seconds: Mapping[str, list[float]], further: Mapping[str, str] | None = None) -> str:
    """A row a contender: median, range, runs, and a remark."""
    rows = [
        [name, f"{statistics.median(times):.2f}", f"{min(times):.2f}-{max(times):.2f}", len(times)]
        + ([further.get(name, "")] if further else [])
        for name, times in seconds.items()
    ]
    headers = ["", "median s", "range s", "runs"] + (["remark"] if further else [])
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def again(asked: argparse.Namespace) -> str:
    """A finished grid of 100 cells, asked for again."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("--n-train", "400", "--epochs", "20", "--n-test", "20", "--results-dir", folder, "--quiet")
        command = ("run", "--defense", "standard", "--attack", "fgsm,pgd", "--epsilon", EPSILONS, *options)
        first = program(*command)

        def planned_anew() -> float:
            shutil.rmtree(Path(folder) / "store" / "answers")
            return program(*command)

        seconds = in_turns({"as it comes": lambda: program(*command), "planned anew": planned_anew}, asked.runs)
    return (
        f"## A finished grid of 100 cells asked for again\n\n{table_of(seconds)}\n\nThe first time took {first:.0f} s. "
        "As it comes, PyTorch is not imported, so no model can have been evaluated; planned anew is what a new "
        "version of the program or touched data lead to.\n"
    )


def overhead(asked: argparse.Namespace) -> str:
    """A cell beside its bare attack."""
    text = []
    for until in ("end", "success"):
        workspace = Workspace(results_dir=asked.results_dir, data_dir=asked.data_dir)
        cell = mnist_cell(workspace, steps=40, n_test=1000, until=until)
        run_claimed(cell, workspace)  # trains if need be, and warms up
        record = run_claimed(cell, workspace)
        studio = open_studio(cell, workspace)
        ids = torch.from_numpy(load_outcomes(workspace.run_dir(record.run_id))["sample_id"].unique())
        clean = studio.clean("test", ids)
        victims = Victims(images=clean.images, sample_ids=ids, goal=studio.goal(clean, "none"))
        order = Order(attack="pgd", config=cell.spec.attack_config)

        def bare(order: Order = order, victims: Victims = victims, studio: object = studio) -> float:
            start = time.perf_counter()
            for part in torch.arange(len(victims.sample_ids)).split(BATCH):
                attack(order, studio.fitted, victims.select(part))  # type: ignore[attr-defined]
            return time.perf_counter() - start

        def whole(cell: Cell = cell, workspace: Workspace = workspace, keys: object = record.stored["test"]) -> float:
            for key in keys:  # type: ignore[attr-defined]
                workspace.store.remove("crafted", key)
            start = time.perf_counter()
            run_claimed(cell, workspace)
            return time.perf_counter() - start

        seconds = in_turns({"attack alone": bare, "cell": whole}, asked.runs)
        ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
        spread = f"{min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%}"
        more = f"{statistics.median(ratios) - 1:+.1%} (median of the pairs; {spread})"
        title = "every step" if until == "end" else "until success"
        text.append(f"PGD-40, {title}:\n\n{table_of(seconds, {'cell': more})}\n")
    return "## A cell of 1,000 MNIST images beside its attack alone\n\n" + "\n".join(text)


def mnist_cell(workspace: Workspace, **options: object) -> Cell:
    """PGD on MNIST's standard network."""
    given = {"dataset": "mnist", "defense": "standard", "attack": "pgd"} | options
    (cell,) = plan({name: [value] for name, value in given.items()}, workspace)
    return cell


def table(asked: argparse.Namespace) -> str:
    """`bench table` over many records."""
    count = 10_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = ("--n-train", "400", "--epochs", "20", "--n-test", "20", "--results-dir", name, "--quiet")
        program("run", "--defense", "standard", "--attack", "pgd", *options)
        (record,) = load_records(folder)
        outcomes = load_outcomes(folder / "runs" / record.run_id)
        fsync, os.fsync = os.fsync, lambda _file: None
        for seed in range(1, count):
            classifier = record.spec["classifier"] | {"seed": seed}
            spec = record.spec | {"seed": seed, "classifier": classifier}
            run_id = f"{seed:016x}"
            save_record(folder / "runs" / run_id, replace(record, run_id=run_id, spec=spec), outcomes)
        os.fsync = fsync
        seconds = in_turns({"bench table": lambda: program("table", "--results-dir", name)}, asked.runs)
    return f"## `bench table` over {count:,} records\n\n{table_of(seconds)}\n"


def workers(asked: argparse.Namespace) -> str:
    """One large attack by one and by two workers."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["RAY_AUTH_MODE"] = "disabled"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    workspace = Workspace(results_dir=asked.results_dir, data_dir=asked.data_dir)
    cell = mnist_cell(workspace, steps=100, n_test=asked.images, until="end")
    keys: list[str] = []

    def by(count: int) -> float:
        for key in keys:
            workspace.store.remove("crafted", key)
        shutil.rmtree(workspace.run_dir(cell.run_id), ignore_errors=True)
        start = time.perf_counter()
        (record,) = swept_by(Crew(executor="ray", address=cluster.address, jobs=count), [cell], workspace)
        took = time.perf_counter() - start
        keys[:] = record.stored["test"]
        return took

    by(2)  # starts Ray's worker processes, which live on
    seconds = in_turns({"1 worker": lambda: by(1), "2 workers": lambda: by(2)}, asked.worker_runs)
    efficiency = [one / (2 * two) for one, two in zip(*seconds.values(), strict=True)]
    spread = f"{min(efficiency):.2f} to {max(efficiency):.2f}"
    remark = f"efficiency {statistics.median(efficiency):.2f} (median of the pairs; {spread})"
    chunks = asked.images // 50
    ray.shutdown()
    cluster.shutdown()
    return (
        f"## One attack of {chunks} chunks by one and by two workers\n\nPGD-100, every step, {asked.images} MNIST "
        f"images, one thread a worker, Ray {version('ray')} on two nodes of this machine.\n\n"
        f"{table_of(seconds, {'2 workers': remark})}\n"
    )


MEASUREMENTS = {"again": again, "overhead": overhead, "table": table, "workers": workers}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--worker-runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=1000, help="of the attack that workers share")
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help="comma list of measurements")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--results-dir", type=Path, default=Path("results"), help="holds the trained model")
    asked = parser.parse_args()
    where = f"{os.cpu_count()} CPU cores; torch {version('torch')}, Python {sys.version.split()[0]}."
    for name in asked.only.split(","):
        print(name, flush=True)
        text = f"{MEASUREMENTS[name](asked)}\n{where}\n"
        (OUT / f"sweeps_{name}.md").write_text(text)
        print(text, flush=True)


if __name__ == "__main__":
    main()
