"""What every test may ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# as the command line does: idle OpenMP threads that spin for long slow everything down on a busy machine
os.environ.setdefault("GOMP_SPINCOUNT", "10000")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Models this small run fastest on one thread: more of them wait for each other, on a busy machine for minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images that may lie beside the checkout; tests that need it skip elsewhere."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real images are not at {folder}")
    return folder
