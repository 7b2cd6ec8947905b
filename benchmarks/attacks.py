"""Attacks and adversarial training beside torchattacks, foolbox and the Adversarial Robustness Toolbox (ART).

    pip install -e '.[backends]' adversarial-robustness-toolbox==1.20.1
    python benchmarks/attacks.py [--only pgd,cw,training] [--device cuda]

Every table is of one run: the same model, images, batches and budget, contenders one after the other and then all over
again, medians of the repetitions. Success is judged from the images alone. Writes results/benchmarks/attacks_*.md.
"""

import argparse
import os
import statistics
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

# Python puts a script's folder on the path, where this file would stand in for the package `attacks`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from attacks.cw import CW, CwConfig
from attacks.goal import reached
from attacks.norms import l2_distance
from attacks.pgd import PGD, PgdConfig
from bench.metrics.rates import rate
from bench.sweep import plan
from bench.tables.metrics_table import percent
from bench.workspace import Workspace, choose_device
from benchmarks.contenders import (
    BATCH,
    Contender,
    Subject,
    art_classifier,
    by_art,
    interleaved,
    margins,
    ours,
    spread,
    subject,
)
from defenses.networks.registry import build_baseline
from defenses.training.classification import train_by_cross_entropy
from defenses.training.recipes import recipe_for

OUT = Path(__file__).parents[1] / "results" / "benchmarks"


def pgd_table(of: Subject, repeats: int) -> str:
    """PGD-40, epsilon 0.3, step 0.01: images a second of every implementation."""
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    config = PgdConfig(epsilon=0.3, step_size=0.01, steps=40, until="success")
    full = replace(config, until="end")
    every = len(of.images)

    def art(size: int) -> Contender:
        attack = ProjectedGradientDescentPyTorch(
            art_classifier(of.model, of.images.device),
            eps=0.3,
            eps_step=0.01,
            max_iter=40,
            num_random_init=1,
            batch_size=size,
            verbose=False,
        )
        return by_art(attack, of)

    peers = {
        f"{name}, {how}": contender
        for size, how in ((every, "one call"), (BATCH, f"batches of {BATCH}"))
        for name, contender in (
            ("torchattacks", ours(PGD, full, of, backend="torchattacks", size=size)),
            ("foolbox", ours(PGD, full, of, backend="foolbox", size=size)),
            ("ART", art(size)),
        )
    }
    own = {
        "ERBench, one call": ours(PGD, config, of, size=every),
        f"ERBench, batches of {BATCH}": ours(PGD, config, of),
        "ERBench, one call, bfloat16": ours(PGD, config, of, "bfloat16", size=every),
        "ERBench, one call, every step": ours(PGD, full, of, size=every),
        "ERBench, one call, every step, bfloat16": ours(PGD, full, of, "bfloat16", size=every),
    }
    measured = interleaved(own | peers, repeats)
    fastest = min(statistics.median(measured[name][0]) for name in peers)
    fastest_called = min(statistics.median(measured[name][0]) for name in peers if name.endswith("one call"))
    rows = []
    for name, (seconds, images) in measured.items():
        median = statistics.median(seconds)
        margin = margins(of, images)
        robust = percent(rate(int((margin <= 0).sum()), len(margin)))
        rows.append(
            [
                name,
                f"{median:.2f}",
                spread(seconds),
                f"{len(margin) / median:.0f}",
                f"{fastest / median:.2f}",
                f"{fastest_called / median:.2f}",
                robust,
            ]
        )
    headers = [
        "implementation",
        "median s",
        "range s",
        "images/s",
        "times the fastest peer",
        "times the fastest peer's one call",
        "robust accuracy",
    ]
    title = f"PGD-40 on `{of.name}` (MNIST), {len(of.images)} images it gets right, {repeats} runs each"
    return f"## {title}\n\n{tabulate(rows, headers=headers, tablefmt='github', disable_numparse=True)}\n"


def cw_table(of: Subject, repeats: int, art_repeats: int) -> str:
    """C&W at confidence 9, 5 values of c, 200 steps each: time, success, L2."""
    from art.attacks.evasion import CarliniL2Method

    config = CwConfig(confidence=9.0, search_steps=5, steps=200, learning_rate=0.1, initial_c=1.0)
    measured = interleaved(
        {
            "ERBench": ours(CW, config, of),
            "ERBench, bfloat16": ours(CW, config, of, "bfloat16"),
            "torchattacks": ours(CW, config, of, backend="torchattacks"),
            "foolbox": ours(CW, config, of, backend="foolbox"),
        },
        repeats,
    )
    if art_repeats:
        art = CarliniL2Method(
            art_classifier(of.model, of.images.device),
            confidence=9.0,
            learning_rate=0.1,
            binary_search_steps=5,
            max_iter=200,
            initial_const=1.0,
            batch_size=BATCH,
            verbose=False,
        )
        measured |= interleaved({f"ART ({art_repeats} run)": by_art(art, of)}, art_repeats)
    foolbox = measured["foolbox"]
    rows = []
    for name, (seconds, images) in measured.items():
        margin, l2 = margins(of, images), l2_distance(images, of.images)
        good = reached(margin, 9.0 - 1e-3)
        both = good & reached(margins(of, foolbox[1]), 9.0 - 1e-3)
        ratios = (l2 / l2_distance(foolbox[1], of.images))[both]
        median = statistics.median(seconds)
        rows.append(
            [
                name,
                f"{median:.1f}",
                spread(seconds),
                f"{median / statistics.median(foolbox[0]):.2f}",
                f"{int((margin > 0).sum())}",
                f"{int(good.sum())}",
                *(
                    [f"{l2[good].median():.4f}", f"{l2[good].mean():.4f}", f"{ratios.median():.4f}"]
                    if len(ratios)
                    else ["n/a"] * 3
                ),
            ]
        )
    headers = [
        "implementation",
        "median s",
        "range s",
        "time / foolbox",
        "misclassified",
        "reached κ 9",
        "median L2",
        "mean L2",
        "L2 / foolbox (median over images)",
    ]
    title = (
        f"C&W, confidence 9, 5 values of c x 200 steps, learning rate 0.1, first c 1, on `{of.name}` (MNIST), "
        f"{len(of.images)} images it gets right, {repeats} runs each"
    )
    return f"## {title}\n\n{tabulate(rows, headers=headers, tablefmt='github', disable_numparse=True)}\n"


def training_table(workspace: Workspace, images: int, repeats: int) -> str:
    """Min-max training, one epoch over part of MNIST: samples a second beside ART's trainer."""
    from art.defences.trainer import AdversarialTrainerMadryPGD

    (cell,) = plan({"dataset": ["mnist"], "defense": ["madry"], "attack": ["pgd"]}, workspace)
    data = cell.dataset.train.take(torch.arange(images)).to(workspace.device)
    adversary = replace(recipe_for("quick", "mnist").adversary, until="end")
    config = replace(
        cell.spec.classifier.config, epochs=1, batch_size=BATCH, schedule="constant", adversarial=adversary
    )

    def by_us() -> Tensor:
        network = build_baseline("mnist", classes=10, seed=0).to(workspace.device)
        train_by_cross_entropy(network, data, config, 0)
        return torch.empty(0)

    def by_them(*, tuned: bool = False) -> Tensor:
        network = build_baseline("mnist", classes=10, seed=0)
        if tuned:
            network.to(memory_format=torch.channels_last)
        trainer = AdversarialTrainerMadryPGD(
            art_classifier(network, workspace.device, fused=tuned),
            nb_epochs=1,
            batch_size=BATCH,
            eps=adversary.epsilon,
            eps_step=adversary.step_size,
            max_iter=adversary.steps,
        )
        trainer.attack.set_params(batch_size=BATCH)  # its default of 32 would craft in smaller batches
        trainer.fit(data.images().cpu().numpy(), np.eye(10, dtype=np.float32)[data.labels.cpu().numpy()])
        return torch.empty(0)

    measured = interleaved(
        {
            "ERBench": by_us,
            "ART": by_them,
            "ART, channels-last and fused Adam": partial(by_them, tuned=True),
        },
        repeats,
    )
    theirs = statistics.median(measured["ART"][0])
    rows = [
        [
            name,
            f"{statistics.median(seconds):.1f}",
            spread(seconds),
            f"{images / statistics.median(seconds):.0f}",
            f"{theirs / statistics.median(seconds):.2f}",
        ]
        for name, (seconds, _) in measured.items()
    ]
    title = (
        f"Adversarial training, one epoch over {images} MNIST images, PGD-{adversary.steps}, epsilon "
        f"{adversary.epsilon}, step {adversary.step_size}, batches of {BATCH}, Adam, {repeats} runs each"
    )
    headers = ["trainer", "median s", "range s", "samples/s", "times ART"]
    return f"## {title}\n\n{tabulate(rows, headers=headers, tablefmt='github', disable_numparse=True)}\n"


def main() -> None:
    """Measure what is asked for and write one file a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="pgd,cw,training", help="comma list of: pgd, cw, training")
    parser.add_argument("--images", type=int, default=500, help="attacked by PGD on `standard`")
    parser.add_argument("--robust-images", type=int, default=200, help="attacked by PGD on `madry`, which takes longer")
    parser.add_argument("--cw-images", type=int, default=100)
    parser.add_argument("--training-images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--art-cw-repeats", type=int, default=1, help="ART's C&W takes minutes a run; 0 leaves it out")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--results-dir", type=Path, default=Path("results"), help="holds the trained models")
    asked = parser.parse_args()
    device = choose_device(asked.device)
    workspace = Workspace(results_dir=asked.results_dir, data_dir=asked.data_dir, device=device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    versions = ", ".join(
        f"{name} {version_of(name)}" for name in ("torch", "torchattacks", "foolbox", "adversarial-robustness-toolbox")
    )
    footer = f"\n{where}; {versions}.\n"
    OUT.mkdir(parents=True, exist_ok=True)
    for part in asked.only.split(","):
        if part == "pgd":
            tables = [
                pgd_table(subject(name, count, workspace), asked.repeats)
                for name, count in (("standard", asked.images), ("madry", asked.robust_images))
            ]
        elif part == "cw":
            tables = [cw_table(subject("standard", asked.cw_images, workspace), asked.repeats, asked.art_cw_repeats)]
        elif part == "training":
            tables = [training_table(workspace, asked.training_images, asked.repeats)]
        else:
            parser.error(f"--only knows pgd, cw and training, not {part}")
        text = "\n".join(tables) + footer
        suffix = "" if device.type == "cpu" else f"_{device.type}"
        (OUT / f"attacks_{part}{suffix}.md").write_text(text)
        print(text)


def version_of(package: str) -> str:
    """The installed version of a package."""
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main()
