"""Workers as processes of this machine."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from attacks.errors import ErbenchError, RequestError
from bench.executors.contract import Job

MOST_LOSSES = 3  # of one worker; after them its job is not to blame on chance
log = logging.getLogger("erbench")


class LocalWorkers:
    """One process a job, started anew when it is lost."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = list(jobs)
        self._processes: list[BaseProcess] = []
        self._answers: list[Connection] = []
        self._losses = [0] * len(self._jobs)
        for job in self._jobs:
            process, answer = _start(job)
            self._processes.append(process)
            self._answers.append(answer)

    def are_working(self) -> bool:
        """Whether any still works; as `bench.executors.contract.Workers`."""
        for number, process in enumerate(self._processes):
            if process.exitcode is None or process.exitcode == 0:
                continue
            if refusal := _refusal(self._answers[number]):
                raise refusal
            self._losses[number] += 1
            ending = f"signal {-process.exitcode}" if process.exitcode < 0 else f"exit code {process.exitcode}"
            if self._losses[number] > MOST_LOSSES:
                raise RequestError(f"worker {number + 1} was lost {MOST_LOSSES + 1} times ({ending}); see above")
            log.warning("worker %d was lost (%s) and is started again", number + 1, ending)
            self._processes[number], self._answers[number] = _start(self._jobs[number])
        return any(process.exitcode is None for process in self._processes)

    def stop(self) -> None:
        """End them at once; as `bench.executors.contract.Workers`."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()


def _refusal(answer: Connection) -> ErbenchError | None:
    """What an ended worker sent; None when it was lost without a word."""
    try:
        refusal: ErbenchError = answer.recv()
    except EOFError:
        return None
    return refusal


def _start(job: Job) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(job, theirs), name=f"erbench worker {job.number + 1}", daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which the worker inherits: see `_run`
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return process, ours


def _run(job: Job, answer: Connection) -> None:
    """A worker's life: it ends with its driver, leaves Ctrl-C to it, and sends it what it refuses."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    from bench.executors.worker import work

    try:
        work(job)
    except ErbenchError as error:
        answer.send(error)
        os._exit(1)


def _end_with_the_driver() -> None:
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)
