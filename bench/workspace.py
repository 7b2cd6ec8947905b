"""Where a run happens: folders, device, batch size, and who is told of progress. None of it changes a number's spec."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch

from attacks.errors import RequestError
from bench.instant import now
from bench.progress import Progress, Silent
from bench.storage.store import Store

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A place to work in.

    results_dir: runs go to `runs/` below it, cached models and images to `store/`.
    data_dir: holds the datasets; download: fetch what is missing.
    device: where networks run.
    progress: who is told.
    batch_size: images that pass the model together while an attack works on them.
    traced: keep loss and margin of every step of the test attack.
    started: when the sweep began, ISO 8601 in UTC; a cell that has failed since is not tried again.
    patience: seconds that are waited for what another process is making, before `BusyError`.
    """

    results_dir: Path = Path("results")
    data_dir: Path = Path("data")
    download: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: Progress = field(default_factory=Silent)
    batch_size: int = 100
    traced: bool = False
    started: str = field(default_factory=now)
    patience: float = math.inf

    @property
    def store(self) -> Store:
        """The cache of fitted defenses and crafted images."""
        return Store(self.results_dir / "store", self.patience)

    def run_dir(self, run_id: str) -> Path:
        """The folder of one run's record."""
        return self.results_dir / "runs" / run_id


def choose_batch_size(asked: int | None, device: torch.device) -> int:
    """Images that pass the model together: what was asked for, or what is quick on the device.

    On a CPU a hundred small images keep within its caches, where five hundred took 1.7 times as long each; a GPU
    wants to be filled.

    Raises:
        RequestError: fewer than one was asked for.
    """
    if asked is not None and asked < 1:
        raise RequestError(f"--batch-size must be at least 1, got {asked}")
    return asked or (1000 if device.type == "cuda" else 100)


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is CUDA where there is any.

    Raises:
        RequestError: the name is unknown, or CUDA is asked for and absent.
    """
    kind, _, index = name.partition(":")
    if kind not in DEVICES or (index and not (kind == "cuda" and index.isdigit())):
        raise RequestError(f"unknown device '{name}'; known: auto, cpu, cuda, cuda:N")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise RequestError("--device cuda: PyTorch sees no CUDA device here; use --device cpu")
        if index and int(index) >= torch.cuda.device_count():
            raise RequestError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
        return torch.device(name)
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device("cpu")
