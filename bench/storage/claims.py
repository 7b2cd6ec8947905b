"""Who works on what, where several processes share one folder: a thing is made once, and a dead holder holds nothing.

A claim is a lock of the operating system on a file (`flock`, through filelock), which ends with its process however
that ends. On network file systems it needs working locks, as NFS 4, Lustre and most others have; without them things
may be made twice, never wrong, since everything is written whole.
"""

import json
import logging
import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.files import cannot_write
from bench.instant import now

TELL_AFTER = 2.0  # seconds of waiting until it is said for whom
log = logging.getLogger("erbench.claims")


class BusyError(Exception):
    """Somebody else holds a claim, for longer than it is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a claim. host, pid: the process; since: see `bench.instant`."""

    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since.partition('.')[0]} UTC"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims below one folder. patience: seconds that `held` waits for another holder."""

    root: Path
    patience: float = math.inf

    @contextmanager
    def tried(self, name: str) -> Iterator[bool]:
        """Claim `name` for the block if nobody holds it; gives whether that worked.

        Raises:
            DataError: the folder cannot be written to.
        """
        lock = self._lock(name)
        try:
            self._acquire(lock, timeout=0)
        except Timeout:
            yield False
            return
        with self._held(name, lock):
            yield True

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Claim `name` for the block, after whoever holds it now; says whom it waits for.

        Raises:
            BusyError: somebody holds it for longer than the patience.
            DataError: the folder cannot be written to.
        """
        lock = self._lock(name)
        try:
            self._wait(lock, name)
        except Timeout:
            raise BusyError(name) from None
        with self._held(name, lock):
            yield

    def _wait(self, lock: FileLock, name: str) -> None:
        """Acquire a lock, after a while saying for whom that waits; `Timeout` when the patience ends."""
        try:
            self._acquire(lock, timeout=min(self.patience, TELL_AFTER))
        except Timeout:
            if self.patience <= TELL_AFTER:
                raise
            log.info("waiting for %s, held by %s", name, self.holder(name) or "a process that does not say who it is")
            self._acquire(lock, timeout=-1 if math.isinf(self.patience) else self.patience - TELL_AFTER)

    def holder(self, name: str) -> Holder | None:
        """Who says to hold `name`; None when nobody does."""
        try:
            return Holder(**json.loads(self._note(name).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _lock(self, name: str) -> FileLock:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        return FileLock(self.root / f"{name}.lock")

    def _acquire(self, lock: FileLock, *, timeout: float) -> None:
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            raise
        except (OSError, NotImplementedError) as error:
            raise cannot_write(self.root, error) from error

    @contextmanager
    def _held(self, name: str, lock: FileLock) -> Iterator[None]:
        note = self._note(name)
        try:
            with suppress(OSError):  # a claim without its holder's name is still one
                note.write_text(json.dumps(asdict(_myself())))
            yield
        finally:
            # Removed while held: whoever waits for the removed file notices, and locks a new one.
            note.unlink(missing_ok=True)
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def _note(self, name: str) -> Path:
        return self.root / f"{name}.holder"


def _myself() -> Holder:
    return Holder(host=socket.gethostname(), pid=os.getpid(), since=now())
