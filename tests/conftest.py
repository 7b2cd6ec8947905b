"""What every test may ask for."""

import os
from pathlib import Path

import pytest

# as the command line does: idle OpenMP threads that spin for long slow everything down on a busy machine
os.environ.setdefault("GOMP_SPINCOUNT", "10000")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images that may lie beside the checkout; tests that need it skip elsewhere."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real images are not at {folder}")
    return folder
