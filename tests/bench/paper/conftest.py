"""What the tests of the paper's artifacts share."""

import shutil
from pathlib import Path

import pytest
from processes import end, start
from small_paper import SmallPaper, arguments


@pytest.fixture(scope="session")
def small_paper(tmp_path_factory: pytest.TempPathFactory) -> SmallPaper:
    """`bench paper all` on the digits, in a process of its own."""
    results_dir = tmp_path_factory.mktemp("paper") / "results"
    return SmallPaper(results_dir, end(start(*arguments(results_dir)), timeout=900))


@pytest.fixture
def computed(small_paper: SmallPaper, tmp_path: Path) -> Path:
    """A results folder that holds what is slow: classifiers and images, but no records."""
    shutil.copytree(small_paper.results_dir / "store", tmp_path / "results" / "store")
    return tmp_path / "results"
