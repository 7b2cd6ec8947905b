"""Workers on a Ray cluster, one task each. Ray starts lost ones again, on another node where theirs is gone.

Source: the public interface of Ray 2, https://docs.ray.io; the extra `ray` brings it.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Sequence
from typing import Any

from attacks.errors import ErbenchError, RequestError
from bench.executors.contract import Job
from bench.executors.worker import work

PATIENCE = 10.0  # seconds until a cluster that does not answer counts as unreachable
RETRIES = 10  # of a lost worker


class RayCluster:
    """A connection to a running cluster, or to one started here for the sweep.

    Raises:
        RequestError: Ray is not installed, or nothing answers at the address.
    """

    def __init__(self, address: str | None) -> None:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # a refused connection is told once, by us
        try:
            import ray
        except ImportError as error:
            raise RequestError("--executor ray needs Ray: pip install 'erbench[ray]'") from error
        if address is not None:
            _require_listener(address)
        self._ray = ray
        on_terminate = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=True, configure_logging=False)
        except Exception as error:  # Ray raises many kinds
            raise RequestError(
                f"Ray cannot be reached: {str(error).strip().splitlines()[0]}. If something runs there, compare Ray's "
                "version, and RAY_AUTH_MODE and the token, with the cluster's"
            ) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_terminate)  # Ray's own handler prints a stack of addresses

    def room(self, cpus: float, gpus: float) -> int:
        """How many workers of this size fit in the cluster at once.

        Raises:
            RequestError: not a single one.
        """
        has: dict[str, float] = self._ray.cluster_resources()  # type: ignore[no-untyped-call]
        fits = int(has.get("CPU", 0) / cpus)
        if gpus:
            fits = min(fits, int(has.get("GPU", 0) / gpus + 1e-9))
        if fits < 1:
            raise RequestError(
                f"no worker fits in the cluster: one takes {cpus:g} CPUs and {gpus:g} GPUs, the cluster has "
                f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}. Change --cpus-per-job or --gpus-per-job"
            )
        return fits

    def start(self, jobs: Sequence[Job], *, cpus: float, gpus: float) -> "RayWorkers":
        """Send the jobs; each takes `cpus` CPUs and `gpus` GPUs, also a fraction of one."""
        task = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES, scheduling_strategy="SPREAD")(work)
        return RayWorkers(self._ray, [task.remote(job) for job in jobs])


class RayWorkers:
    """Tasks that have been sent."""

    def __init__(self, ray: Any, tasks: list[Any]) -> None:
        self._ray, self._tasks = ray, tasks

    def are_working(self) -> bool:
        """Whether any still works; as `bench.executors.contract.Workers`."""
        done, self._tasks = self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0)
        for task in done:
            try:
                self._ray.get(task)
            except self._ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, ErbenchError):
                    raise error.cause from error
                raise
            except self._ray.exceptions.RayError as error:
                raise RequestError(f"a worker was lost {RETRIES + 1} times: {str(error).splitlines()[0]}") from error
        return bool(self._tasks)

    def stop(self) -> None:
        """End them at once; as `bench.executors.contract.Workers`."""
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._ray.shutdown()


def _require_listener(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise RequestError(f"--ray-address wants HOST:PORT or ray://HOST:PORT, got '{address}'")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except OSError as error:
        raise RequestError(f"no Ray cluster answers at {address}: {error}") from error
