"""How lambda_1 was chosen: accuracy and distance to the prior on a held-out part of the training set.

    python benchmarks/regularizer_weight.py [DATASET] [DATA_DIR]

Trains the ER-Classifier (recipe quick) on four fifths of the training images with each weight, and judges on the last
fifth; the test split is never touched. Writes results/benchmarks/regularizer_weight_DATASET.md.
"""

import sys
from dataclasses import replace
from pathlib import Path

# Python puts a script's folder on the path, where its neighbor attacks.py would stand in for the package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from tabulate import tabulate
from torch import Generator

from bench.datasets.contract import LoadRequest
from bench.datasets.registry import load_dataset
from bench.inference import logits_of_all
from bench.metrics.two_sample import squared_mmd
from defenses.classifiers.er_classifier import ER_CLASSIFIER
from defenses.contract import BuildRequest, Classifier
from defenses.detectors.kernel_density import represent_all
from defenses.priors import sample_prior
from defenses.training.contract import NO_JOURNAL

WEIGHTS = (0.0, 5e-4, 5e-3, 0.05, 0.1, 0.2, 0.5, 2.0)
SEED = 0


def main() -> None:
    """Sweep, print and write."""
    name = sys.argv[1] if len(sys.argv) > 1 else "digits"
    data_dir = Path(sys.argv[2] if len(sys.argv) > 2 else "data")
    dataset = load_dataset(name, LoadRequest(data_dir=data_dir))
    order = torch.randperm(len(dataset.train), generator=Generator().manual_seed(SEED))
    held_out = len(order) // 5
    train, validation = dataset.train.take(order[held_out:]), dataset.train.take(order[:held_out])
    images = validation.images()
    rows = []
    for weight in WEIGHTS:
        request = BuildRequest(family=dataset.family, recipe="quick", options={"regularizer_weight": weight})
        config = ER_CLASSIFIER.configure(request)
        if weight == 0:
            config = replace(config, regularizer="none")
        network = ER_CLASSIFIER.build(dataset.family, len(dataset.class_names), config, SEED)
        ER_CLASSIFIER.train(network, train, config, SEED, NO_JOURNAL)
        accuracy = (logits_of_all(network, images).argmax(dim=1) == validation.labels).float().mean()
        embedding = represent_all(Classifier.embedding, network, images)
        prior = sample_prior(config.prior, tuple(embedding.shape), Generator().manual_seed(SEED))
        spread = embedding.std(dim=0).mean()
        rows.append([f"{weight:g}", f"{100 * accuracy:.1f}", f"{squared_mmd(embedding, prior):.4f}", f"{spread:.2f}"])
        print(rows[-1], flush=True)
    headers = ["lambda_1", "held-out accuracy %", "squared MMD to the prior", "mean std per axis"]
    table = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    text = (
        f"ER-Classifier on {name}, recipe quick ({config.epochs} epochs), seed {SEED}: {len(train)} images to train, "
        f"{held_out} held out of the training split.\n\n{table}\n"
    )
    out = Path(__file__).parents[1] / "results" / "benchmarks" / f"regularizer_weight_{name}.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)


if __name__ == "__main__":
    main()
