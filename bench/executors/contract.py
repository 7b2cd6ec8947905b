"""What a worker is told, and what is asked of whoever starts workers.

Every worker sweeps all cells, claims what it works on (`bench.storage.claims`) and passes over what others work on. So
no worker waits for orders, a lost one loses its batch in flight, and one large cell is crafted by all of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One worker's share; plain data, so that it can be sent anywhere.

    requests: the cells of the whole sweep.
    folder: where relative paths begin; results_dir, data_dir: absolute.
    device: for `bench.workspace.choose_device`; threads: PyTorch's.
    batch_size, traced, started: see `bench.workspace.Workspace`.
    code: version of the whole program, which the worker must have too.
    number: which of the workers, from 0.
    """

    requests: tuple[Request, ...]
    folder: Path
    results_dir: Path
    data_dir: Path
    device: str
    threads: int
    batch_size: int | None
    traced: bool
    started: str
    code: str
    number: int


class Workers(Protocol):
    """Workers that have been started."""

    def are_working(self) -> bool:
        """Whether any still works; lost ones are started again.

        Raises:
            ErbenchError: a worker refused its job, or workers are lost again and again.
        """

    def stop(self) -> None:
        """End them at once; what they have stored stays."""
