"""The smallest runs that still go through every station, and what they leave behind."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench.cell import Cell
from bench.record import Record
from bench.spec import RunSpec
from bench.sweep import plan
from bench.workspace import Workspace

ATTACKED = {"attack": "cw", "confidence": 2, "steps": 40, "search_steps": 2, "initial_c": 10, "n_fit": 20, "n_test": 20}
ER = {"defense": "er1", "n_train": 400, "epochs": 6} | ATTACKED
BASELINE = {"n_train": 400, "epochs": 20}
DETECTION = ATTACKED | BASELINE
CLASSIFICATION = {"defense": "standard", "attack": ["fgsm", "pgd"], "steps": 3, "n_test": 20} | BASELINE


class Finished(NamedTuple):
    """Runs on the digits, made once. records and outcomes by defense (detectors) or attack (classifiers)."""

    results_dir: Path
    records: dict[str, Record]
    outcomes: dict[str, pd.DataFrame]


class Ended(NamedTuple):
    """How a call of the program ended."""

    code: int
    out: str
    err: str


def assert_refused(ended: Ended, *words: str) -> None:
    """The program said one line with `words` in it, ended with exit code 2, and wrote nothing into its folder."""
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err
    assert [word for word in words if word not in ended.err] == []
    assert not list(Path.cwd().iterdir())


def planned(tmp_path: Path, **values: Any) -> RunSpec:
    """The spec of er1 against cw, or of what `values` say; nothing is written."""
    given = {"defense": "er1", "attack": "cw"} | values
    listed = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    (cell,) = plan(listed, Workspace(results_dir=tmp_path / "results", data_dir=tmp_path / "data"))
    assert not (tmp_path / "results").exists()
    return cell.spec


def workspace_in(folder: Path) -> Workspace:
    """A place to work in below a folder."""
    return Workspace(results_dir=folder / "results", data_dir=folder / "data")


def cells_of(workspace: Workspace, *grids: dict[str, Any]) -> list[Cell]:
    """The cells of grids, one after the other; a value that is no list stands for itself."""
    listed = [{name: v if isinstance(v, list) else [v] for name, v in grid.items()} for grid in grids]
    return [cell for values in listed for cell in plan(values, workspace)]
