"""`SIGKILL` at any moment of a grid: the same command goes on, and ends with what an undisturbed grid ends with."""

from pathlib import Path

import pytest

from benchmarks.kill_sweep import STATIONS, kill_and_compare, leave_alone
from benchmarks.undisturbed import Undisturbed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return leave_alone(tmp_path_factory.mktemp("undisturbed"))


def test_fifty_kills_change_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    tally = kill_and_compare(undisturbed, tmp_path / "killed", kills=50, seed=0)
    assert tally.kills == 50
    assert tally.starts == tally.kills + tally.passes
    assert {station for station in STATIONS if not tally.stations[station]} == set()


def test_kills_among_two_sweeps_of_one_folder_change_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    tally = kill_and_compare(undisturbed, tmp_path / "killed", kills=12, seed=1, workers=2)
    assert tally.kills == 12
