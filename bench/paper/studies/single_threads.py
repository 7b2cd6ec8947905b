"""Many small pieces of work, one a thread: quicker on a CPU than one piece at a time on all of its cores."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from bench.progress import Task

Given = TypeVar("Given")
Result = TypeVar("Result")


def mapped(work: Callable[[Given], Result], pieces: Sequence[Given], task: Task) -> list[Result]:
    """Results in the order of `pieces`; `task` is told of each. As many threads as PyTorch has now."""
    results = []
    with _one_thread_each() as threads, ThreadPoolExecutor(threads) as pool:
        for result in pool.map(work, pieces):
            results.append(result)
            task.advance()
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
