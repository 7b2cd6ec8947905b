"""Figure 4's loss surfaces on MNIST's networks, untrained: time of the quick copy beside plain float32.

    python benchmarks/loss_surface.py [--images 100] [--grid 51] [--plain-images 5]

Prints a Markdown table. The images are black with white blots, as MNIST's are, because a network's first layer is the
quicker the fewer of its units switch. Nothing is read or written.
"""

import argparse
import os
import sys
import time
from pathlib import Path

# Python puts a script's folder on the path, where this file's neighbors would stand in for packages.
sys.path[0] = str(Path(__file__).resolve().parents[1])
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does

import torch
from tabulate import tabulate
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d

from attacks.draws import Draws
from bench.paper.studies.loss_surface import loss_surfaces, planes_through, steps_of
from bench.progress import Silent
from defenses.contract import Classifier
from defenses.networks.registry import build_baseline, build_er_network

RANGE = 0.3
WHITE = 0.52  # of blurred noise: about a fifth of the pixels


def blots(count: int) -> Tensor:
    """(count, 1, 28, 28) float32, 0 or 1."""
    noise = torch.rand(count, 1, 32, 32, generator=Generator().manual_seed(0))
    return (avg_pool2d(noise, 5, stride=1) > WHITE).float()


def timed(network: Classifier, images: Tensor, grid: int, precision: str) -> list[str]:
    """A row: precision, images, seconds, passes a second, deviation."""
    count = len(images)
    draws = Draws(seed=0, sample_ids=torch.arange(count))
    start = time.perf_counter()
    with Silent().task("", count) as task:
        planes = planes_through(network, images, torch.zeros(count, dtype=torch.int64), draws)
        surfaces = loss_surfaces(network, planes, steps_of(grid, RANGE), precision=precision, task=task)
    seconds = time.perf_counter() - start
    deviation = "–" if surfaces.deviation is None else f"{100 * surfaces.deviation:.2f} %"
    return [precision, str(count), f"{seconds:.1f}", f"{count * grid * grid / seconds:.0f}", deviation]


def main() -> None:
    """Measure both networks in both precisions, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="on the quick copy")
    parser.add_argument("--plain-images", type=int, default=2, help="in plain float32, which takes five times as long")
    parser.add_argument("--grid", type=int, default=51)
    asked = parser.parse_args()
    networks = {
        "er-classifier": build_er_network("mnist", classes=10, embedding_dim=4, seed=0),
        "standard, madry": build_baseline("mnist", classes=10, seed=0),
    }
    rows = []
    for name, network in networks.items():
        network.eval().requires_grad_(False)
        for precision, count in (("bfloat16", asked.images), ("float32", min(asked.images, asked.plain_images))):
            rows.append([name, *timed(network, blots(count), asked.grid, precision)])
    headers = ["network", "precision", "images", "seconds", "passes/s", "mean surface off by"]
    print(f"## Loss surfaces, {asked.grid} x {asked.grid} points an image, MNIST's networks, untrained\n")
    print(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))
    print(f"\n{os.cpu_count()} CPU cores, {torch.get_num_threads()} threads; torch {torch.__version__}.")


if __name__ == "__main__":
    main()
