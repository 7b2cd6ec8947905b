"""When does a density detector see high-confidence examples? When the confidence outgrows the classifier's own margins.

    python benchmarks/confidence.py [--dataset digits] [--confidences 2,4,6,9,13,18] [--head-rates 1,0.05]
                                    [--data-dir data] [--results-dir results]

Attacks er1 with C&W at each confidence, once as the recipe trains it and once with the author's learning rate of the
classifier, eta / 20, and writes results/benchmarks/confidence_DATASET.md and .png. Records go where `bench run` puts
them, so that a second call computes nothing.
"""

import argparse
import sys
from pathlib import Path

# Python puts a script's folder on the path, where its neighbor attacks.py would stand in for the package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from matplotlib.figure import Figure
from tabulate import tabulate

from bench.api import run
from bench.record import Record
from bench.storage.store import Store

QUANTILES = (0.5, 1.0)
TICKS = (0.2, 0.5, 1, 2, 5, 10)
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
HEADERS = (
    "head rate",
    "κ",
    "clean margin, median (largest)",
    "κ / median",
    "reached",
    "median L2",
    "AUROC of low density",
    "ACC-NADV",
    "ACC-COM",
    "passed at 5 % FPR",
)


def main() -> None:
    """Run, print, draw and write."""
    options = _options()
    records = run(
        dataset=options.dataset,
        defense="er1",
        attack="cw",
        train_attack="fgsm",
        head_rate=options.head_rates.split(","),
        confidence=options.confidences.split(","),
        data_dir=options.data_dir,
        results_dir=options.results_dir,
    )
    store = Store(Path(options.results_dir) / "store")
    margins = {record.run_id: _clean_margins(record, store) for record in records}
    rows = [_row(record, margins[record.run_id]) for record in records]
    out = Path(__file__).parents[1] / "results" / "benchmarks" / f"confidence_{options.dataset}"
    table = tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)
    spec = records[0].spec
    text = (
        f"er1 on {options.dataset}, recipe {spec['recipe']} ({spec['classifier']['config']['epochs']} epochs, "
        f"{spec['classifier']['n_train']} training images), seed {spec['seed']}, trained on FGSM, sound protocol, "
        f"{spec['n_test']} images; rates in percent with their n.\n\n{table}\n\n"
        f"![detection by confidence]({out.name}.png)\n"
    )
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    _draw(records, margins).savefig(out.with_suffix(".png"), dpi=150)
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--confidences", default="2,4,6,9,13,18")
    parser.add_argument("--head-rates", default="1,0.05")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--results-dir", default="results")
    return parser.parse_args()


def _clean_margins(record: Record, store: Store) -> tuple[float, ...]:
    """Quantiles of by how much the likeliest class leads the next on clean test images, in logits."""
    identity = {"classifier": record.stored["classifier"], "dataset": record.dataset_digest}
    item = store.read("logits", store.key("logits", identity))
    assert item is not None
    first, second = item.tensors["logits"].topk(2, dim=1).values.unbind(dim=1)
    quantiles: list[float] = torch.quantile(first - second, torch.tensor(QUANTILES)).tolist()
    return tuple(quantiles)


def _row(record: Record, margins: tuple[float, ...]) -> list[str]:
    confidence = record.spec["attack_config"]["confidence"]
    median, largest = margins
    return [
        f"{record.spec['classifier']['config']['head_rate']:g}",
        f"{confidence:g}",
        f"{median:.1f} ({largest:.1f})",
        f"{confidence / median:.1f}",
        _rate(record, "reached"),
        _number(record, "median_l2"),
        _number(record, "low_score_auroc"),
        *(_rate(record, name) for name in ("acc_nadv", "acc_com", "success_rate_at_5_fpr")),
    ]


def _rate(record: Record, name: str) -> str:
    rate = record.rate(name)
    return "n/a" if rate is None or rate.value is None else f"{100 * rate.value:.0f} (n {rate.n})"


def _number(record: Record, name: str) -> str:
    value = record.number(name)
    return "n/a" if value is None else f"{value:.2f}"


def _draw(records: list[Record], margins: dict[str, tuple[float, ...]]) -> Figure:
    """ACC-COM, and AUROC in percent, over the confidence in units of the classifier's median clean margin."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    rates = sorted({record.spec["classifier"]["config"]["head_rate"] for record in records}, reverse=True)
    for color, head_rate in zip(COLORS, rates, strict=False):
        own = [record for record in records if record.spec["classifier"]["config"]["head_rate"] == head_rate]
        own = [record for record in own if record.number("low_score_auroc") is not None]
        x = [record.spec["attack_config"]["confidence"] / margins[record.run_id][0] for record in own]
        shares = [record.rate("acc_com") for record in own]
        values = (
            [100 * (share.value or 0.0) for share in shares if share],
            [100 * (record.number("low_score_auroc") or 0.0) for record in own],
        )
        for axes, y, marker in zip(panels, values, "os", strict=True):
            axes.plot(x, y, color=color, marker=marker, label=f"{head_rate:g}")
    for axes, title in zip(panels, ("ACC-COM (%)", "AUROC of low density (%)"), strict=True):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("κ / median margin of clean images")
        axes.set_xscale("log")
        axes.set_xticks(TICKS, labels=[f"{tick:g}" for tick in TICKS])
        axes.minorticks_off()
        axes.axvline(1, color="#888888", linewidth=0.8, linestyle=":")
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.3)
    panels[0].legend(title="head rate", fontsize=8, title_fontsize=8)
    return figure


if __name__ == "__main__":
    main()
