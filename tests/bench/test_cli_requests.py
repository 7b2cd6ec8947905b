"""The command line's answers to bad input: one line, exit code 2, nothing written. The list is the project's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from processes import end, start
from small_runs import Ended, assert_refused

Bench = Callable[..., Ended]
CELL = ("run", "--defense", "kd", "--attack", "cw")
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--attack", "cw"), ["--defense is needed", "bench list defenses"]),
        (("run", "--defense", "er1"), ["--attack is needed", "bench list attacks"]),
        (("run", "--defense", "erl1", "--attack", "cw"), ["unknown defense 'erl1'", "did you mean 'er1'"]),
        (("run", "--defense", "kd,lidd", "--attack", "cw"), ["unknown defense 'lidd'", "did you mean 'lid'"]),
        (("run", "--defense", "kd", "--attack", "fgms"), ["unknown attack 'fgms'", "did you mean 'fgsm'"]),
        ((*CELL, "--dataset", "minst"), ["unknown dataset 'minst'", "did you mean 'mnist'"]),
        (
            ("run", "--defense", "kd", "--attack", "fgsm", "--confidence", "9"),
            ["--confidence is not an option of kd with fgsm"],
        ),
        ((*CELL, "--epsilon", "0.3"), ["--epsilon is not an option of kd with cw", "--confidence"]),
        ((*CELL, "--prior", "gaussian"), ["--prior is not an option of kd with cw"]),
        ((*CELL, "--confidence", "-1"), ["confidence must be a number of at least 0, got -1.0"]),
        ((*CELL, "--confidence", "nan"), ["confidence", "nan"]),
        ((*CELL, "--confidence", "high"), ["--confidence takes a number"]),
        (("run", "--defense", "kd", "--attack", "pgd", "--epsilon", "0"), ["epsilon must lie in (0, 1], got 0.0"]),
        (
            ("run", "--defense", "kd", "--attack", "pgd", "--epsilon", "0.1,1.1"),
            ["epsilon must lie in (0, 1], got 1.1"],
        ),
        ((*CELL, "--n-test", "401"), ["more than the 500 test images"]),
        ((*CELL, "--n-train", "2000"), ["--n-train 2000 is more than the 1297 training images"]),
        ((*CELL, "--n-train", "20"), ["training images", "--n-train"]),
        (("run", "--defense", "lid", "--attack", "cw", "--n-train", "99"), ["lid needs 100", "--n-train"]),
        ((*CELL, "--target", "10"), ["--target 10 is out of range", "0 to 9"]),
        ((*CELL, "--seed", "0,0"), ["--seed lists '0' twice"]),
        ((*CELL, "--dataset", "mnist"), ["mnist", "--download", "MB"]),
        ((*CELL, "--dataset", "cifar10", "--data-dir", "elsewhere"), ["cifar10", "elsewhere", "--download"]),
        ((*CELL, "--dataset", "folder:nowhere"), ["there is no folder", "nowhere"]),
        ((*CELL, "--device", "gpu"), ["unknown device 'gpu'"]),
        ((*CELL, "--device", "cpu:1"), ["unknown device 'cpu:1'"]),
        ((*CELL, "--no-such-option", "1"), ["--no-such-option"]),
        (("rum",), ["rum"]),
        (("list", "defences"), ["unknown list 'defences'", "did you mean 'defenses'"]),
        (("table",), ["no finished records", "bench run"]),
        (("table", "abc"), ["no record abc"]),
        (("table", "--format", "word"), ["unknown format 'word'", "latex, markdown, csv"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input(bench: Bench, arguments: tuple[str, ...], words: list[str]) -> None:
    assert_refused(bench(*arguments), *words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_cuda_where_there_is_none(bench: Bench, device: str) -> None:
    assert_refused(bench(*CELL, "--device", device), "no CUDA device here", "--device cpu")


def test_a_results_folder_that_is_not_writable(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    place = tmp_path / "file" / "results"
    assert_refused(bench(*CELL, "--results-dir", str(place)), f"cannot write to {place}", "--results-dir")
    assert (tmp_path / "file").read_text() == "in the way"


def image_folder(root: Path, classes: tuple[str, ...], test_classes: tuple[str, ...]) -> str:
    for part, names in (("train", classes), ("test", test_classes)):
        for name in names:
            (root / part / name).mkdir(parents=True)
            Image.fromarray(np.zeros((28, 28), dtype=np.uint8)).save(root / part / name / "0.png")
    return f"folder:{root}"


def test_image_folders_that_do_not_fit(bench: Bench, tmp_path: Path) -> None:
    one = image_folder(tmp_path / "one", ("cat",), ("cat",))
    assert_refused(bench(*CELL, "--dataset", one), "has 1 class folder (cat)")
    other = image_folder(tmp_path / "other", ("cat", "dog"), ("cat", "cow"))
    assert_refused(bench(*CELL, "--dataset", other), "cow")
    corrupt = image_folder(tmp_path / "corrupt", ("cat", "dog"), ("cat", "dog"))
    (tmp_path / "corrupt" / "test" / "dog" / "0.png").write_bytes(b"no image")
    assert_refused(bench(*CELL, "--dataset", corrupt), str(Path("test") / "dog" / "0.png"))


def test_a_real_process_ends_the_same_way_and_debug_shows_the_traceback() -> None:
    wrong = ("run", "--defense", "er9", "--attack", "cw")
    assert_refused(end(start(*wrong), timeout=60), "unknown defense 'er9'")
    code, _, err = end(start(*wrong, "--debug"), timeout=60)
    assert code != 0
    assert "Traceback" in err
    assert "unknown defense 'er9'" in err
