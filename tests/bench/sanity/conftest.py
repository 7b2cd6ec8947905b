"""Honest networks of the digits, trained once, attacked and examined."""

from pathlib import Path

import pytest

from bench.api import run
from bench.record import Record

SMALL = {"n_test": 20, "epsilon": 0.05}
HONEST = {
    "standard": {"n_train": 400, "epochs": 20},
    "madry": {"n_train": 400, "epochs": 10, "train_epsilon": 0.05, "train_learning_rate": 4e-3},
    "er-classifier": {"n_train": 400, "epochs": 6},
}


@pytest.fixture(scope="session")
def honest_results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Record]]:
    """A results folder, and the records in it by defense."""
    results_dir = tmp_path_factory.mktemp("honest")
    records = {
        name: run(results_dir=results_dir, defense=name, attack="pgd", **SMALL, **options)[0]
        for name, options in HONEST.items()
    }
    return results_dir, records
