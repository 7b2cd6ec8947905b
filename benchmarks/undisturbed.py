"""What a grid leaves when nobody disturbs it, and whether another folder holds the same, all of it whole."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image
from safetensors.torch import load_file

from bench.record import Record, load_outcomes, load_records, read_record
from bench.storage.store import Store

Digests = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """The grid left alone.

    folder: its results; records: by run; digests: of every stored item's tensors, by kind and key;
    seconds: from start to end.
    """

    folder: Path
    records: dict[str, Record]
    digests: Digests
    seconds: float

    @property
    def sets(self) -> dict[str, str]:
        """Station at which a chunk is crafted, by key."""
        stations = {"fit": "crafting set I", "test": "crafting set II"}
        return {
            key: station
            for record in self.records.values()
            for name, station in stations.items()
            for key in record.stored.get(name, ())
        }


def read_everything(folder: Path, *, is_quiet: bool = True) -> Digests:
    """Read every record, every item, and every other file under a final name; digests of the items' tensors.

    Args:
        folder: of results.
        is_quiet: nobody works there; otherwise what comes and goes (checkpoints) is left out.

    Raises:
        DamagedError, or what a reader of another format raises: something is not whole.
    """
    for path in folder.glob("runs/*/record.json"):
        read_record(path.parent)
        load_outcomes(path.parent)
    store, digests = Store(folder / "store"), {}
    for path in _final_files(folder):
        if path.parent.name == "checkpoints" and not is_quiet:
            continue
        if path.suffix == ".parquet":
            pd.read_parquet(path)
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix == ".json" and path.parent.parent == store.root:
            require(store.read(path.parent.name, path.stem) is not None, f"{path} went away")
            digests[f"{path.parent.name}/{path.stem}"] = json.loads(path.read_text())["sha256"]
        elif path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".tex":
            require(path.read_text().endswith("\\end{table}"), f"{path} is not whole")
    return digests


def _final_files(folder: Path) -> list[Path]:
    """All files but claims and temporary ones."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return [path for path in files if path.parent != folder / "store" / "claims"]


def require_equal(undisturbed: Undisturbed, folder: Path) -> None:
    """Raise `AssertionError` unless `folder` holds what the undisturbed grid left, and claims or temporary files."""
    names = [
        sorted(str(path.relative_to(root)) for path in _final_files(root)) for root in (folder, undisturbed.folder)
    ]
    require(names[0] == names[1], f"other files than undisturbed: {set(names[0]) ^ set(names[1])}")
    require(read_everything(folder) == undisturbed.digests, "other tensors than undisturbed")
    records = {record.run_id: record for record in load_records(folder)}
    require(records.keys() == undisturbed.records.keys(), "other records than undisturbed")
    for run_id, record in records.items():
        expected = undisturbed.records[run_id]
        for name in ("status", "metrics", "training", "detector", "notes", "stored"):
            require(getattr(record, name) == getattr(expected, name), f"{record.label}: other {name} than undisturbed")
        outcomes, wanted = (load_outcomes(root / "runs" / run_id) for root in (folder, undisturbed.folder))
        pd.testing.assert_frame_equal(outcomes, wanted, check_exact=True)


def require(condition: bool, complaint: str) -> None:
    """Raise `AssertionError` with the complaint unless the condition holds; also under `python -O`."""
    if not condition:
        raise AssertionError(complaint)
