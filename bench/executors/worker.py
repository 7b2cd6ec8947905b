"""What a worker does, wherever it was started."""

import os
import socket

import torch

from attacks.errors import RequestError
from bench.code_version import program_version
from bench.executors.contract import Job
from bench.executors.reports import Reports
from bench.sweep import plan_requests, sweep
from bench.workspace import Workspace, choose_batch_size, choose_device


def work(job: Job) -> None:
    """Sweep all of a job's cells, together with whoever else works in the same folder.

    Raises:
        RequestError: this machine has other code than the driver, or lacks the device.
        DataError: data are missing or differ here, or the results folder cannot be written to.
    """
    here = program_version()
    if here != job.code:
        raise RequestError(
            f"worker {job.number + 1} on {socket.gethostname()} has other code ({here}) than the driver ({job.code}); "
            "install the same version of erbench there"
        )
    if job.folder.is_dir():
        os.chdir(job.folder)
    torch.set_num_threads(job.threads)
    device = choose_device(job.device)
    workspace = Workspace(
        results_dir=job.results_dir,
        data_dir=job.data_dir,
        device=device,
        batch_size=choose_batch_size(job.batch_size, device),
        traced=job.traced,
        started=job.started,
        progress=Reports(job.results_dir, job.number),
    )
    for _ in sweep(plan_requests(job.requests, workspace), workspace, keep_errors=True):
        pass
