"""What a setting does to a detector's numbers: a grid of any options of `bench run`, one row a run.

    python benchmarks/variations.py NAME [--results-dir results] [--data-dir data] OPTION=VALUES ...

For instance, on cached images, in minutes:

    python benchmarks/variations.py mnist_scores dataset=mnist defense=er1 attack=cw confidence=9 protocol=paper \
        bandwidth=auto,0.3,1,3 density=log,linear class_weight=none,balanced

Writes results/benchmarks/variations_NAME.md: a column for every option with several values, then the numbers.
"""

import argparse
import sys
from pathlib import Path

# Python puts a script's folder on the path, where its neighbor attacks.py would stand in for the package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from tabulate import tabulate

from bench.api import run
from bench.command_line import asked_for
from bench.record import Record
from bench.request import Request

RATES = {
    "acc_nadv": "ACC-NADV",
    "acc_com": "ACC-COM",
    "attack_success_rate": "floor",
    "tpr_at_5_fpr": "caught at 5 %",
    "reached": "reached",
}
NUMBERS = {"auroc": "AUROC", "low_score_auroc": "AUROC of low density", "median_l2": "median L2"}


def main() -> None:
    """Run the grid, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("options", nargs="+", metavar="OPTION=VALUES")
    parser.add_argument("--results-dir", default="results")
    parser.add_argument("--data-dir", default="data")
    given = parser.parse_args()
    options = {name: values.split(",") for name, _, values in (option.partition("=") for option in given.options)}
    records = run(**options, results_dir=given.results_dir, data_dir=given.data_dir)
    varied = [name for name, values in options.items() if len(values) > 1]
    fixed = ", ".join(f"{name} {values[0]}" for name, values in options.items() if len(values) == 1)
    headers = [*(name.replace("_", " ") for name in varied), *RATES.values(), *NUMBERS.values(), "squared MMD"]
    table = tabulate([_row(record, varied) for record in records], headers=headers, tablefmt="github", numalign="right")
    text = f"{fixed}; otherwise defaults. Rates in percent.\n\n{table}\n"
    out = Path(__file__).parents[1] / "results" / "benchmarks" / f"variations_{given.name}.md"
    out.write_text(text, encoding="utf-8")
    print(text)


def _row(record: Record, varied: list[str]) -> list[str]:
    asked = asked_for(Request(**record.request))
    cells = [str(asked.get(name, "default")) for name in varied]
    for name in RATES:
        rate = record.rate(name)
        value = None if rate is None else rate.value
        if name == "attack_success_rate" and value is not None:
            value = 1 - value  # what the classifier alone gets right
        cells.append("n/a" if value is None else f"{100 * value:.1f}")
    for name in NUMBERS:
        number = record.number(name)
        cells.append("n/a" if number is None else f"{number:.3f}")
    distance = record.metrics.get("embedding", {}).get("squared_mmd")
    cells.append("–" if distance is None else f"{distance:.3f}")
    return cells


if __name__ == "__main__":
    main()
