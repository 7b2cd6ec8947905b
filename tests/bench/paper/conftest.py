"""What the tests of the paper's artifacts share."""

import pytest
from processes import end, start
from small_paper import SmallPaper, arguments


@pytest.fixture(scope="session")
def small_paper(tmp_path_factory: pytest.TempPathFactory) -> SmallPaper:
    """`bench paper all` on the digits, in a process of its own."""
    results_dir = tmp_path_factory.mktemp("paper") / "results"
    return SmallPaper(results_dir, end(start(*arguments(results_dir)), timeout=280))
