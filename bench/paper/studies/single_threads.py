"""Many small pieces of work, one a thread: quicker on a CPU than one piece at a time on all of its cores."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Given = TypeVar("Given")
Result = TypeVar("Result")


def mapped(
    work: Callable[[Given], Result],
    pieces: Sequence[Given],
    device: torch.device,
    done: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Results in the order of `pieces`; `done` is called after each.

    On a CPU there are as many threads as PyTorch has now, a single one elsewhere.
    """
    results = []
    with _one_thread_each() as threads, ThreadPoolExecutor(threads if device.type == "cpu" else 1) as pool:
        for result in pool.map(work, pieces):
            results.append(result)
            done()
    return results


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Operators run on the thread that calls them; yields how many they ran on before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
