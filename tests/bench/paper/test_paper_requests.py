"""`bench paper` asked for what it cannot do: one line that says what to do, exit code 2, and nothing written."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_paper import ENTRIES
from small_runs import Ended, assert_refused

from bench.cli.list_command import KINDS
from bench.paper.options import OWN_OPTIONS, SETTINGS
from bench.paper.registry import ARTIFACTS
from defenses.networks.registry import FAMILIES

Bench = Callable[..., Ended]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("tabel3", ["unknown artifact 'tabel3'", "did you mean 'table3'", "figure1", "all"]),
        ("table3 table33", ["unknown artifact 'table33'"]),
        ("", ["ARTIFACT"]),
        ("table3 --seeds 0", ["--seeds must be at least 1"]),
        ("table3 --seeds -1", ["--seeds must be at least 1"]),
        ("table3 --seeds 1.5", ["--seeds", "integer"]),
        ("table3 --recipe quik", ["unknown recipe 'quik'", "did you mean 'quick'"]),
        ("table1 --recipe quik", ["unknown recipe 'quik'"]),
        ("table3 --dataset digitz", ["unknown dataset 'digitz'", "did you mean 'digits'"]),
        ("all --dataset digitz", ["unknown dataset 'digitz'"]),
        ("table3 --dataset mnist", ["mnist", "--download", "MB"]),
        ("table3 --dataset folder:nowhere", ["there is no folder", "nowhere"]),
        ("table3 --grid 5", ["--grid is not an option of table3", "figure4"]),
        ("table3 table6 --dims 2", ["--dims is not an option of table3 or table6", "figure1"]),
        ("figure1 --epsilons a,b", ["--epsilons takes numbers with commas between, got 'a,b'"]),
        ("figure1 --epsilons 0.1,", ["--epsilons takes numbers with commas between, got '0.1,'"]),
        ("figure1 --epsilons 0.1,2", ["epsilon must lie in (0, 1], got 2.0"]),
        ("figure1 --dims 2,2", ["--dims lists a value twice: '2,2'"]),
        ("figure1 --dims 2.5", ["--dims takes whole numbers with commas between, got '2.5'"]),
        ("figure1 --dims 0", ["embedding-dim", "0"]),
        ("figure4 --grid many", ["--grid takes a whole number, got 'many'"]),
        ("kl --weights -1", ["regularizer-weight", "-1.0"]),
        ("theorem1 --samples 1", ["--samples must be between 2 and", "got 1"]),
        ("table3 --n-test few", ["--n-test takes a whole number", "few"]),
        ("table3 --n-test 0", ["--n-test must be at least 1, got 0"]),
        ("table3 --n-fit 3", ["--n-fit must be at least 5"]),
        ("table3 --n-test 1000", ["--n-test 1000", "500 test images"]),
        ("table3 --n-train 2000", ["--n-train 2000", "1297 training images"]),
        ("table3 --class-weight heavy", ["unknown class weight 'heavy'", "balanced"]),
        ("table3 --density cubic", ["unknown density 'cubic'", "linear"]),
        ("table3 --bandwidth wide", ["--bandwidth takes a number or 'auto'", "wide"]),
        ("table3 --device gpu", ["unknown device 'gpu'"]),
        ("table3 --no-such-option 1", ["--no-such-option"]),
    ],
)
def test_bad_input(bench: Bench, arguments: str, words: list[str]) -> None:
    assert_refused(bench("paper", *arguments.split()), *words)


def test_a_results_folder_that_is_not_writable(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = bench("paper", "table1", "--results-dir", str(tmp_path / "file" / "results"))
    assert_refused(ended, "cannot write to", str(tmp_path / "file" / "results"))


@pytest.fixture
def tiny_images(tmp_path: Path) -> str:
    """A dataset of Tiny ImageNet's image shape, which has its networks."""
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "tiny" / part / name).mkdir(parents=True)
            pixels = np.zeros((64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "tiny" / part / name / "0.png")
    return f"folder:{tmp_path / 'tiny'}"


def test_artifacts_that_the_dataset_does_not_have(bench: Bench, tiny_images: str) -> None:
    undefined = [entry for entry in ARTIFACTS if entry.families and "tiny-imagenet" not in entry.families]
    assert "table3" in [entry.name for entry in undefined]
    for entry in undefined:
        defined = ", ".join(sorted(entry.families))
        where = f"{entry.name} is not defined for {tiny_images}, whose networks are those of tiny-imagenet"
        assert_refused(bench("paper", entry.name, "--dataset", tiny_images), where, f"it is for: {defined}")


def test_what_a_dataset_does_not_have_is_told_before_its_images_are_looked_for(bench: Bench) -> None:
    for dataset, whose in (("mnist", ""), ("fashion-mnist", ", whose networks are those of mnist")):
        ended = bench("paper", "figure6", "--dataset", dataset, "--download")
        assert_refused(ended, f"figure6 is not defined for {dataset}{whose}; it is for: cifar10, digits")


def test_artifacts_say_for_whom_they_are_and_what_they_take() -> None:
    for entry in ARTIFACTS:
        assert entry.families <= set(FAMILIES.names()), entry.name
        assert entry.options <= set(OWN_OPTIONS), entry.name
    assert set(OWN_OPTIONS) == {name for entry in ARTIFACTS for name in entry.options}  # none that nobody takes
    assert len(ENTRIES) > 10


def test_the_options_of_the_command_line_are_those_of_the_library(bench: Bench) -> None:
    out = bench("paper", "--help").out
    assert [name for name in (*SETTINGS, *OWN_OPTIONS) if not re.search(rf"--{name.replace('_', '-')}\b", out)] == []


def test_list_shows_every_artifact_with_its_line_and_source(bench: Bench) -> None:
    assert "artifacts" in KINDS
    ended = bench("list", "artifacts")
    assert ended.code == 0
    lines = ended.out.splitlines()
    for entry in ARTIFACTS:
        (line,) = [line for line in lines if line.split()[:1] == [entry.name]]
        assert entry.summary.split()[0] in line
        assert entry.source.split()[0] in line
    assert set(ARTIFACTS.names()) <= {line.split()[0] for line in bench("list").out.splitlines() if line.split()}
