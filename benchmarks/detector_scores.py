"""Scores of the KD and LID detectors beside scikit-learn, SciPy and a loop over images.

    python benchmarks/detector_scores.py [--images 1000] [--device cuda]

The network is the `standard` classifier on MNIST (recipe quick, trained or found in the store), the queries are test
images. Contenders of a table take turns; medians of their runs. Writes results/benchmarks/detector_scores.md.

The per-image loop does what the published LID code does for a query (Ma et al. 2018): every layer's output for one
image, SciPy's `cdist` to the references, which subtracts, and the estimate. It is spared the references: theirs are
computed once, in float64.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

# Python puts a script's folder on the path, where its neighbor attacks.py would stand in for the package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity
from tabulate import tabulate
from torch import Tensor

from bench.exhibits import Studio
from bench.pipeline import open_studio
from bench.sweep import plan
from bench.workspace import Workspace, choose_device
from defenses.contract import Classifier
from defenses.detectors.class_density import ClassDensity
from defenses.detectors.kernel_density import KD, DensityConfig, DensityDetector, represent_all
from defenses.detectors.lid import LID, LidConfig, show_layers

OUT = Path(__file__).parents[1] / "results" / "benchmarks"
OURS = "ERBench"
Values = NDArray[np.float64]
Contender = Callable[[], Values]
"""() -> scores, the same shape for all contenders of a table."""


def compare(contenders: Mapping[str, Contender], runs: Mapping[str, int]) -> str:
    """A row a contender: seconds, how many times ours, and how far its values are from ours.

    Args:
        contenders: by name, ours (`OURS`) among them.
        runs: how often each is run, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    values: dict[str, Values] = {}
    for repetition in range(max(runs.values())):
        for name, contender in contenders.items():
            if repetition < runs[name]:
                start = time.perf_counter()
                values[name] = contender()
                seconds[name].append(time.perf_counter() - start)
                print(f"  {name}: {seconds[name][-1]:.2f} s", flush=True)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    rows = []
    for name, times in seconds.items():
        difference = np.abs(values[name] / values[OURS] - 1)
        spread = f"{min(times):.2f}-{max(times):.2f}"
        ratio, off = medians[name] / medians[OURS], (difference > 1e-5).mean()
        rows.append(
            [name, f"{medians[name]:.2f}", spread, len(times), f"{ratio:.1f}", f"{difference.max():.1e}", f"{off:.2%}"]
        )
    headers = ["implementation", "median s", "range s", "runs", f"times {OURS}", "largest difference", "above 1e-5"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def by_class(
    score: Callable[[Values, Values], Values], density: ClassDensity, queries: Tensor, classes: Tensor
) -> Contender:
    """(queries (m, d), points (n, d)) -> (m,), asked class by class."""
    labels, points = density.labels.cpu().numpy(), density.points.cpu().numpy()
    asked, predicted = queries.cpu().numpy(), classes.cpu().numpy()

    def run() -> Values:
        result = np.empty(len(asked))
        for label in np.unique(predicted):
            result[predicted == label] = score(asked[predicted == label], points[labels == label])
        return result

    return run


def density_table(studio: Studio, images: Tensor, predictions: Tensor, runs: tuple[int, int]) -> str:
    """Log-densities of given features; ours alone also with the network's pass over the images."""
    network = studio.fitted.network
    train = studio.dataset.train.to(images.device)
    detector = KD.fit(network, train, DensityConfig(), 0)
    assert isinstance(detector, DensityDetector)
    density, h = detector.density, detector.density.bandwidth
    queries = represent_all(Classifier.features, network, images)

    def tree(asked: Values, points: Values) -> Values:
        return np.asarray(KernelDensity(bandwidth=h).fit(points).score_samples(asked))

    def one_leaf(asked: Values, points: Values) -> Values:
        return np.asarray(KernelDensity(bandwidth=h, leaf_size=len(points)).fit(points).score_samples(asked))

    def subtraction(asked: Values, points: Values) -> Values:
        dim = points.shape[1]
        normalization = np.log(len(points)) + dim * np.log(h * np.sqrt(2 * np.pi))
        return np.asarray(logsumexp(-cdist(asked, points, "sqeuclidean") / (2 * h * h), axis=1) - normalization)

    def from_images() -> Values:
        scores = detector.scores(network, images, predictions)
        return np.asarray(scores[:, 0].numpy())

    contenders: dict[str, Contender] = {
        OURS: lambda: density.log_density(queries, predictions).cpu().numpy(),
        f"{OURS}, network included": from_images,
        "scikit-learn, as it comes": by_class(tree, density, queries, predictions),
        "scikit-learn, one leaf": by_class(one_leaf, density, queries, predictions),
        "SciPy, subtraction": by_class(subtraction, density, queries, predictions),
    }
    count = {name: runs[0] if name.startswith(OURS) else runs[1] for name in contenders}
    title = (
        f"## KDE: {len(queries)} images under their predicted classes, {len(density.points)} points of "
        f"{queries.shape[1]} features, bandwidth {h:.3g}"
    )
    note = (
        "Scikit-learn's tree (leaves of 40 points) loses the log-density of far queries to rounding; with all points "
        "in one leaf it sums the kernels themselves."
    )
    return f"{title}\n\n{compare(contenders, count)}\n\n{note}\n"


def lid_table(studio: Studio, images: Tensor, predictions: Tensor, runs: tuple[int, int]) -> str:
    """LID at the input and every layer, from images."""
    network, config = studio.fitted.network, LidConfig()
    detector = LID.fit(network, studio.dataset.train.to(images.device), config, 0)
    references = layers_of(network, detector.tensors()["references"])

    def loop() -> Values:
        rows = []
        for image in images.split(1):
            row = []
            for output, reference in zip(layers_of(network, image), references, strict=True):
                nearest = np.sort(cdist(output, reference)[0])[: config.neighbors]
                row.append(-1 / np.log(nearest / nearest[-1]).mean())
            rows.append(row)
        return np.array(rows)

    contenders: dict[str, Contender] = {
        OURS: lambda: detector.scores(network, images, predictions).numpy(),
        "per-image loop": loop,
    }
    numbers = sum(reference.shape[1] for reference in references)
    title = (
        f"## LID: {len(images)} images, {len(references)} layers of {numbers} numbers in all, {config.minibatch} "
        f"references, {config.neighbors} neighbors, network included"
    )
    note = "The two differ by the network's own float32 rounding, which changes with the size of its batch."
    table = compare(contenders, {OURS: runs[0], "per-image loop": runs[1]})
    return f"{title}\n\n{table}\n\n{note}\n"


def layers_of(network: Classifier, images: Tensor) -> list[Values]:
    """The input and every layer's output, (n, d) float64 each."""
    outputs: list[Values] = []
    show_layers(network, images, lambda output: outputs.append(output.double().cpu().numpy()))
    return outputs


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5, help="of our own")
    parser.add_argument("--peer-runs", type=int, default=3, help="of each peer; the loop takes minutes")
    parser.add_argument("--device", default="cpu", help="where our own and the loop's network run")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--results-dir", type=Path, default=Path("results"), help="holds the trained model")
    asked = parser.parse_args()
    device = choose_device(asked.device)
    workspace = Workspace(results_dir=asked.results_dir, data_dir=asked.data_dir, device=device)
    (cell,) = plan({"dataset": ["mnist"], "defense": ["standard"], "attack": ["fgsm"]}, workspace)
    studio = open_studio(cell, workspace)
    images = studio.dataset.test.images(slice(asked.images)).to(device)
    predictions = studio.logits[: asked.images].argmax(dim=1).to(device)

    runs = (asked.runs, asked.peer_runs)
    tables = [table(studio, images, predictions, runs) for table in (density_table, lid_table)]
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "scikit-learn", "scipy"))
    remark = "PyTorch uses all cores, scikit-learn's trees and SciPy's distances one. Differences are relative."
    text = "\n".join([*tables, f"{remark}\n\n{where}; {versions}.\n"])
    suffix = "" if device.type == "cpu" else f"_{device.type}"
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"detector_scores{suffix}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
