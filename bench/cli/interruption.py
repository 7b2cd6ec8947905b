"""Ctrl-C and SIGTERM: one line and exit code 130 within a second, whatever the program is at.

Python hears of a signal between two of its own steps, and one step may be a long computation or a library that winds
up. So a thread, which the operating system's side of the signal wakes, ends the process when its time is over. That
does no harm: what is stored is written whole, and claims end with their process.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

EXIT_INTERRUPTED = 130
GRACE = 0.6  # seconds for an end in good order
SIGNALS = (signal.SIGINT, signal.SIGTERM)
MESSAGE = "interrupted; what is finished is kept, the same command goes on from there\n"
SHOW_CURSOR = "\x1b[?25h"  # a progress display that is not wound up has hidden it


class _Interruption:
    """Whether a signal has come, and what follows from it."""

    def __init__(self) -> None:
        self.has_come = False
        self._is_told = threading.Lock()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer)
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:  # as it is in the background of a script
                signal.signal(number, self._raise)
        threading.Thread(target=self._watch, daemon=True).start()

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        if not self.has_come:  # the second of two would only disturb the end
            self.has_come = True
            raise KeyboardInterrupt

    def _watch(self) -> None:
        while numbers := os.read(self._reader, 1):
            if numbers[0] in SIGNALS:
                time.sleep(GRACE)
                self.end()
        os.close(self._reader)

    def end(self) -> NoReturn:
        """Say, once, what has happened, and end: Python's own winding up takes seconds, and dies of a second signal."""
        if self._is_told.acquire(blocking=False):
            text = f"{SHOW_CURSOR}\n{MESSAGE}" if os.isatty(2) else MESSAGE  # below the ^C
            os.write(2, text.encode())  # past Python's own buffers, whose locks another thread may hold
        os._exit(EXIT_INTERRUPTED)

    def forget(self) -> None:
        """Leave signals as they were."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._writer)


@contextmanager
def interruptible() -> Iterator[None]:
    """Run the block so that Ctrl-C or SIGTERM ends the program; without one, signals are left as they were.

    Whatever else the block raises after a signal is no concern of the user's.
    """
    interruption = _Interruption()
    try:
        yield
    except BaseException:
        if not interruption.has_come:
            raise
    finally:
        if not interruption.has_come:
            interruption.forget()
    if interruption.has_come:
        interruption.end()
