"""Results folders changed by somebody who knows the format: every checksum fits again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.canonical import full_hash
from bench.files import sha256_of
from bench.record import load_outcomes


def change_item(results_dir: Path, kind: str, key: str, change: Callable[[dict[str, Tensor]], None]) -> None:
    """Change a stored item's tensors in place."""
    path = results_dir / "store" / kind / f"{key}.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)
    envelope = json.loads(path.with_suffix(".json").read_text())
    envelope["sha256"] = sha256_of(path)
    path.with_suffix(".json").write_text(json.dumps(envelope))


def change_record(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a record says, in place."""
    path = folder / "record.json"
    envelope = json.loads(path.read_text())
    change(envelope["record"])
    envelope["sha256"] = full_hash(envelope["record"])
    if (folder / "outcomes.parquet").exists():
        envelope["outcomes_sha256"] = sha256_of(folder / "outcomes.parquet")
    path.write_text(json.dumps(envelope))


def change_outcomes(folder: Path, change: Callable[[pd.DataFrame], Any]) -> None:
    """Change the rows behind a record in place."""
    outcomes = load_outcomes(folder)
    change(outcomes)
    outcomes.to_parquet(folder / "outcomes.parquet", index=False)
    change_record(folder, lambda _record: None)
