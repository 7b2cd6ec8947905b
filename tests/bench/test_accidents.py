"""What befalls the place where results lie: a full disk, a read-only one, flipped bits.

Expected outcomes are those of the undisturbed runs of `finished`.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from small_runs import CLASSIFICATION, DETECTION, Ended, Finished

from bench.record import load_outcomes, read_record
from bench.storage.store import Store

Mount = Callable[..., None]
COMMAND = ["run", "--defense=kd", *(f"--{name.replace('_', '-')}={value}" for name, value in DETECTION.items())]
GRID = [
    "run",
    *(
        f"--{name.replace('_', '-')}={','.join(value) if isinstance(value, list) else value}"
        for name, value in CLASSIFICATION.items()
    ),
]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """`mount(*arguments)` on `tmp_path / "place"`, taken off afterwards; skips where that is not allowed."""
    place = tmp_path / "place"
    place.mkdir()

    mounted = 0

    def call(*arguments: str) -> None:
        nonlocal mounted
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("only root can mount")
        done = subprocess.run(["mount", *arguments, str(place)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")
        mounted += "remount" not in "".join(arguments)

    yield call
    for _ in range(mounted):
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def require_whole(results_dir: Path) -> None:
    """Read every record and item; raise when one is damaged. No temporary file is left."""
    for path in results_dir.glob("runs/*/record.json"):
        read_record(path.parent)
    store = Store(results_dir / "store")
    for path in results_dir.glob("store/*/*.safetensors"):
        if path.with_suffix(".json").exists():  # else it is not there to the store
            assert store.read(path.parent.name, path.stem) is not None
    assert not [path for path in results_dir.rglob(".*") if path.is_file()]


@pytest.mark.parametrize(
    ("is_trained", "step", "hit"),
    [(False, 128, {"checkpoints"}), (True, 16, {"detectors", "crafted", "runs"})],
    ids=["while training", "after training"],
)
def test_a_full_disk_stops_the_run_with_one_line_and_it_goes_on_once_there_is_room(
    finished: Finished,
    tmp_path: Path,
    mount: Mount,
    bench: Callable[..., Ended],
    is_trained: bool,
    step: int,
    hit: set[str],
) -> None:
    place, stopped_at = tmp_path / "place", set()
    mount("-t", "tmpfs", "-o", "size=64m", "tmpfs")
    if is_trained:
        shutil.copytree(finished.results_dir / "store" / "classifiers", place / "store" / "classifiers")
    room = shutil.disk_usage(place).used + step * 1024
    mount("-o", f"remount,size={room}")
    while (ended := bench(*COMMAND, "--quiet", "--results-dir", str(place))).code != 0:
        assert ended.code == 2
        (line,) = ended.err.splitlines()
        assert line.startswith(f"error: cannot write {place}")
        assert "No space left on device. Make room there; the same command goes on from what is finished" in line
        assert ended.out == ""
        require_whole(place)
        _, folder, kind, *_ = line.split(str(place))[1].split("/")
        stopped_at.add(kind if folder == "store" else folder)
        room += step * 1024
        assert room < 64 * 2**20
        mount("-o", f"remount,size={room}")
    require_whole(place)
    assert not hit - stopped_at, sorted(stopped_at)
    run = finished.records["kd"].run_id
    pd.testing.assert_frame_equal(load_outcomes(place / "runs" / run), finished.outcomes["kd"], check_exact=True)


def test_a_full_disk_stops_a_grid_and_is_no_cells_error(
    tmp_path: Path, mount: Mount, bench: Callable[..., Ended]
) -> None:
    place = tmp_path / "place"
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs")
    ended = bench(*GRID, "--quiet", "--results-dir", str(place))
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "No space left on device" in ended.err
    assert not (place / "runs").exists()


def test_a_finished_grid_answers_from_a_read_only_place_and_an_unfinished_one_says_so(
    finished: Finished, tmp_path: Path, mount: Mount, bench: Callable[..., Ended]
) -> None:
    place = tmp_path / "place"
    shutil.copytree(finished.results_dir, place, dirs_exist_ok=True)
    expected = bench(*GRID, "--results-dir", str(place))
    mount("--bind", str(place))
    mount("-o", "remount,ro,bind")
    for more in ([], ["--jobs", "2"]):
        ended = bench(*GRID, *more, "--results-dir", str(place))
        assert ended.code == 0, ended.err
        assert ended.out == expected.out
    for more in ([], ["--jobs", "2"]):
        ended = bench(*GRID, "--seed", "1", *more, "--results-dir", str(place))
        assert ended.code == 2
        (line,) = ended.err.splitlines()
        assert line.startswith(f"error: cannot write to {place}")
        assert line.endswith("Read-only file system. Choose another folder with --results-dir")
        assert ended.out == ""


def flip(path: Path) -> None:
    """Flip one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("pattern", ["runs/*/record.json", "runs/*/outcomes.parquet"])
def test_a_flipped_bit_in_a_record_is_told_and_the_record_made_again(
    finished: Finished, stored: Path, pattern: str, bench: Callable[..., Ended], caplog: pytest.LogCaptureFixture
) -> None:
    run = finished.records["kd"].run_id
    shutil.copytree(finished.results_dir / "runs" / run, stored / "runs" / run)
    (path,) = stored.glob(pattern)
    flip(path)
    assert bench(*COMMAND, "--results-dir", str(stored)).code == 0
    assert f"{path.with_name('record.json')} " in caplog.text
    assert "; it is made again" in caplog.text
    record = read_record(path.parent)
    assert record is not None
    assert record.metrics == finished.records["kd"].metrics
    pd.testing.assert_frame_equal(load_outcomes(path.parent), finished.outcomes["kd"], check_exact=True)
    caplog.clear()
    assert bench(*COMMAND, "--results-dir", str(stored)).code == 0
    assert not caplog.records


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("kind", ["classifiers", "detectors", "crafted"])
def test_a_flipped_bit_in_the_store_is_told_and_the_thing_made_again(
    finished: Finished,
    stored: Path,
    kind: str,
    suffix: str,
    bench: Callable[..., Ended],
    caplog: pytest.LogCaptureFixture,
) -> None:
    needed = finished.records["kd"].stored
    keys = {"classifiers": needed["classifier"], "detectors": needed["detector"], "crafted": needed["test"][0]}
    path = stored / "store" / kind / f"{keys[kind]}.{suffix}"
    before = path.with_suffix(".safetensors").read_bytes()
    flip(path)
    assert bench(*COMMAND, "--quiet", "--results-dir", str(stored)).code == 0
    (line,) = {record.getMessage() for record in caplog.records}
    assert path.stem in line
    assert line.endswith("it is not loaded but made again")
    assert path.with_suffix(".safetensors").read_bytes() == before
    run = finished.records["kd"].run_id
    pd.testing.assert_frame_equal(load_outcomes(stored / "runs" / run), finished.outcomes["kd"], check_exact=True)
