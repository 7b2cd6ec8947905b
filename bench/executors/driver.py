"""A sweep by workers: start them, and hand out records as they appear in the results folder."""

import logging
import math
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from attacks.errors import RequestError
from attacks.registration import unknown_name
from bench.cell import Cell, cell_names
from bench.code_version import program_version
from bench.crafting import CHUNK
from bench.executors.contract import Job, Workers
from bench.executors.local import LocalWorkers
from bench.executors.reports import clear_reports, read_reports
from bench.files import require_writable
from bench.pipeline import known_record
from bench.record import Record
from bench.request import Request
from bench.sweep import sweep
from bench.workspace import Workspace, choose_batch_size

EXECUTORS = ("local", "ray")
LOOK_EVERY = 0.2  # seconds between two looks at the results folder
log = logging.getLogger("erbench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who is to run a sweep.

    executor: "local" or "ray"; address: of the Ray cluster.
    jobs: how many workers; None takes one process, or as many as the cluster has room for.
    cpus, gpus: of one worker; None shares out the machine's cores, or takes one core and, on CUDA, one GPU of Ray.
    """

    executor: str = "local"
    address: str | None = None
    jobs: int | None = None
    cpus: float | None = None
    gpus: float | None = None

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise RequestError(unknown_name("executor", self.executor, list(EXECUTORS)))
        if self.jobs is not None and self.jobs < 1:
            raise RequestError(f"--jobs must be at least 1, got {self.jobs}")
        for name, value in (("--cpus-per-job", self.cpus), ("--gpus-per-job", self.gpus)):
            if value is not None and value <= 0:
                raise RequestError(f"{name} must be above 0, got {value:g}")
        if self.executor == "local" and (self.address or self.gpus):
            raise RequestError("--ray-address and --gpus-per-job are for --executor ray")

    @property
    def is_this_process(self) -> bool:
        """Nobody else is asked."""
        return self.executor == "local" and self.jobs in (None, 1)


def swept_by(
    crew: Crew, cells: Sequence[Cell], workspace: Workspace, *, keep_errors: bool | None = None
) -> Generator[Record, None, None]:
    """Run the cells by whoever is asked to, yielding each one's record as soon as there is one.

    Args:
        crew: who is asked.
        cells: from `bench.sweep.plan`.
        workspace: where they run.
        keep_errors: see `bench.sweep.sweep`; other processes always keep them.

    Raises:
        RequestError: the crew cannot be had, refuses its jobs, or is lost again and again.
        DataError: the results folder cannot be written to.
    """
    if crew.is_this_process:
        return sweep(cells, workspace, keep_errors=keep_errors)
    return _followed(crew, cells, workspace)


def _followed(crew: Crew, cells: Sequence[Cell], workspace: Workspace) -> Generator[Record, None, None]:
    left, names = {cell.run_id: cell for cell in cells}, cell_names(cells)
    with workspace.progress.task("cells", len(cells), slow=True) as task:
        for run_id, cell in list(left.items()):
            if record := known_record(cell, workspace):
                del left[run_id]
                task.advance()
                yield record
        if not left:
            return
        require_writable(workspace.results_dir)
        clear_reports(workspace.results_dir)
        before = {run_id: _signature(workspace.run_dir(run_id)) for run_id in left}
        workers = _start(crew, list(left.values()), workspace)
        try:
            are_working = True
            while left and are_working:
                are_working = workers.are_working()  # asked first: whoever has ended has written all it will write
                for run_id, cell in list(left.items()):
                    if _signature(workspace.run_dir(run_id)) == before[run_id]:
                        continue
                    if record := known_record(cell, workspace):
                        del left[run_id]
                        task.advance(f"{names[record.run_id]}: {record.status}")
                        yield record
                task.tell(" · ".join(read_reports(workspace.results_dir)))
                time.sleep(LOOK_EVERY if are_working else 0)
        finally:
            workers.stop()
    if left:
        raise RequestError(f"the workers ended without a record of {len(left)} cells; see above")


def _start(crew: Crew, cells: Sequence[Cell], workspace: Workspace) -> Workers:
    if crew.executor == "ray":
        from bench.executors.ray_cluster import RayCluster

        cluster = RayCluster(crew.address)
        cpus = crew.cpus or 1.0
        gpus = crew.gpus if crew.gpus is not None else float(workspace.device.type == "cuda")
        room = cluster.room(cpus, gpus)
        count = min(crew.jobs or room, _shares(cells))
        device = "cuda" if gpus else "cpu"  # Ray shows each of its tasks only the GPU it was given
        jobs = _jobs(cells, workspace, [device] * count, threads=max(1, int(cpus)))
        return cluster.start(jobs, cpus=cpus, gpus=gpus)
    assert crew.jobs is not None
    count, cores = min(crew.jobs, _shares(cells)), os.cpu_count() or 1
    if count > cores and workspace.device.type == "cpu":
        log.warning("%d processes share %d cores; --jobs %d would be as quick", count, cores, cores)
    threads = int(crew.cpus or 0) or max(1, torch.get_num_threads() // count)
    devices = [_device(workspace.device, number) for number in range(count)]
    return LocalWorkers(_jobs(cells, workspace, devices, threads=threads))


def _shares(cells: Sequence[Cell]) -> int:
    """How many workers find something to do: one a chunk."""
    images = [(cell.spec.n_test, cell.spec.detector.n_fit if cell.spec.detector else 0) for cell in cells]
    return sum(math.ceil(count / CHUNK) for both in images for count in both)


def _jobs(cells: Sequence[Cell], workspace: Workspace, devices: Sequence[str], *, threads: int) -> list[Job]:
    """A job a device."""
    default_batch = choose_batch_size(None, workspace.device)
    whole = Job(
        requests=tuple(_with_absolute_paths(cell.request) for cell in cells),
        folder=Path.cwd(),
        results_dir=workspace.results_dir.absolute(),
        data_dir=workspace.data_dir.absolute(),
        device=devices[0],
        threads=threads,
        batch_size=None if workspace.batch_size == default_batch else workspace.batch_size,  # theirs may be another
        traced=workspace.traced,
        started=workspace.started,
        code=program_version(),
        number=0,
    )
    return [replace(whole, number=number, device=device) for number, device in enumerate(devices)]


def _device(device: torch.device, number: int) -> str:
    """Workers of one machine take its GPUs in turn."""
    if device.type != "cuda" or device.index is not None:
        return str(device)
    return f"cuda:{number % torch.cuda.device_count()}"


def _with_absolute_paths(request: Request) -> Request:
    model = request.model and str(Path(request.model).absolute())
    weights = request.weights and str(Path(request.weights).absolute())
    return replace(request, model=model, weights=weights)


def _signature(folder: Path) -> tuple[int, int] | None:
    try:
        stat = (folder / "record.json").stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino
