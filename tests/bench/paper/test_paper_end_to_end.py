"""`bench paper all` on the digits, and the same again from what it left."""

import csv
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from small_paper import DATASET, ENTRIES, NAMES, SETTINGS, SmallPaper, arguments
from small_runs import Ended

from bench.paper.contract import ArtifactEntry

WITHOUT_RUNS = ("table1", "table2", "table7", "table8")  # of parameters, images and networks
OF_DETECTORS = ("table3", "table4", "table5", "table6")
EVERY = pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)


def test_all_ends_well(small_paper: SmallPaper) -> None:
    assert small_paper.ended.code == 0, small_paper.ended.err
    assert "warning" not in small_paper.ended.err.lower()
    assert "error" not in small_paper.ended.err.lower()
    names = re.findall(r"^(\w+): \S", small_paper.ended.out, flags=re.MULTILINE)
    assert names == NAMES


@EVERY
def test_every_artifact_leaves_its_files(small_paper: SmallPaper, entry: ArtifactEntry) -> None:
    for ending in ("md", "tex", "csv"):
        file = small_paper.file(entry, ending)
        assert file.stat().st_size > 100
        assert str(file) in small_paper.ended.out
    assert small_paper.is_figure(entry) or not entry.name.startswith("figure")
    pictures = [small_paper.file(entry, ending) for ending in ("png", "pdf")]
    assert [picture.exists() for picture in pictures] == [small_paper.is_figure(entry)] * 2
    if small_paper.is_figure(entry):
        with Image.open(pictures[0]) as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(picture.width * picture.height)) > 10
        assert pictures[1].read_bytes().startswith(b"%PDF")


def test_nothing_else_is_written(small_paper: SmallPaper) -> None:
    files = [path for path in (small_paper.results_dir / "paper").rglob("*") if path.is_file()]
    assert {path.stem for path in files} == {*NAMES, "all"}
    assert {path.parent for path in files} == {small_paper.folder(entry) for entry in ENTRIES}


def is_reached(entry: ArtifactEntry, setting: str) -> bool:
    """Whether a setting goes to runs of an artifact; set I is one of detectors."""
    return entry.name not in WITHOUT_RUNS and (setting != "n-fit" or entry.name in OF_DETECTORS)


@EVERY
def test_every_caption_says_what_the_numbers_follow_from(small_paper: SmallPaper, entry: ArtifactEntry) -> None:
    text = small_paper.file(entry, "md").read_text(encoding="utf-8")
    caption, *_, command = text.rstrip("\n").split("\n\n")
    reached = {name.replace("-", " "): value for name, value in SETTINGS.items() if is_reached(entry, name)}
    expected = ["recipe quick", *(f"{name} {value}" for name, value in reached.items())]
    expected += [f"dataset {DATASET}"] * bool(entry.families) + ["seed 0"] * entry.has_seeds
    for part in expected:
        assert re.search(rf"\b{part}[;.]", caption, flags=re.IGNORECASE), part
    assert re.search(r"; spec [0-9a-f]{16}\.", caption)
    assert re.search(r"; (n )?[\d,]+ ", caption)  # what was counted
    named = {name for name in SETTINGS if re.search(rf"; {name.replace('-', ' ')} \d", caption)}
    assert named == {name for name in SETTINGS if is_reached(entry, name)}
    assert command.startswith(f"    bench paper {entry.name} --dataset {DATASET} --recipe quick --seeds 1 ")
    assert ("![" in text) == small_paper.is_figure(entry)


@EVERY
def test_latex_holds_nothing_that_an_engine_may_not_know(small_paper: SmallPaper, entry: ArtifactEntry) -> None:
    text = small_paper.file(entry, "tex").read_text(encoding="utf-8")
    assert sorted({character for character in text if not character.isascii()}) == []
    assert text.count("\\caption{") == text.count("\\toprule") == 1


@EVERY
def test_data_are_tidy_and_not_rounded(small_paper: SmallPaper, entry: ArtifactEntry) -> None:
    with small_paper.file(entry, "csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert len(set(head)) == len(head)
    assert rows
    assert {len(row) for row in rows} == {len(head)}
    decimals = [value for row in rows for value in row if re.fullmatch(r"-?\d*\.\d+", value)]
    assert [value for value in decimals if repr(float(value)) != value] == []


def contents(folder: Path) -> dict[Path, tuple[str, int]]:
    """Every file's checksum and time of writing."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


def test_collecting_makes_the_same_again_and_computes_nothing(
    bench: Callable[..., Ended], small_paper: SmallPaper
) -> None:
    kept = [small_paper.results_dir / name for name in ("store", "runs")]
    before, written = [contents(folder) for folder in kept], contents(small_paper.results_dir / "paper")
    assert all(before)
    ended = bench(*arguments(small_paper.results_dir), "--collect", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert [contents(folder) for folder in kept] == before
    again = contents(small_paper.results_dir / "paper")
    assert {path: checksum for path, (checksum, _) in again.items()} == {
        path: checksum for path, (checksum, _) in written.items()
    }
    assert all(again[path][1] > written[path][1] for path in written)  # and not because nothing was written
