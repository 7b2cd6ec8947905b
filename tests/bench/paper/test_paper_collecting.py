"""`bench paper --collect`: what is missing is listed with the command that makes it, and that command does."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from small_paper import ENTRIES, SETTINGS
from small_runs import Ended

Bench = Callable[..., Ended]
SIZES = tuple(word for name, value in SETTINGS.items() for word in (f"--{name}", str(value)))
PRIORS = ("paper", "figure3", "--seeds", "1", "--epsilons", "0.02", *SIZES)


def listed(ended: Ended) -> dict[str, str]:
    """What is missing, with its command."""
    return dict(re.findall(r"^  (\S.*?)  +(bench .*)$", ended.err, flags=re.MULTILINE))


def test_an_empty_folder_lacks_everything(bench: Bench, tmp_path: Path) -> None:
    results_dir = tmp_path / "no such" / "results"
    ended = bench(*PRIORS, "--collect", "--results-dir", str(results_dir))
    assert (ended.code, ended.out) == (2, "")
    first, *lines = ended.err.splitlines()
    assert first == "error: 3 of 3 things are missing; --collect computes nothing. To make them:"
    names = [f"er-classifier · pgd (prior {prior})" for prior in ("gaussian", "uniform", "cauchy")]
    assert list(listed(ended)) == [*names, "or all at once"]
    assert len(lines) == 4
    assert not results_dir.exists()


def test_a_listed_command_makes_exactly_its_thing(bench: Bench, computed: Path) -> None:
    def collect() -> Ended:
        return bench(*PRIORS, "--collect", "--results-dir", str(computed))

    before = listed(collect())
    name, command = list(before.items())[1]
    assert bench(*shlex.split(command)[1:], "--quiet").code == 0  # as it stands there, from any folder
    left = collect()
    assert left.code == 2
    assert left.err.startswith("error: 2 of 3 things are missing")
    assert listed(left) == {other: made_by for other, made_by in before.items() if other != name}
    assert bench(*shlex.split(before["or all at once"])[1:], "--quiet").code == 0
    assert collect().code == 0


def test_a_single_missing_thing_is_told_alone(bench: Bench, computed: Path) -> None:
    place = ("--results-dir", str(computed))
    assert bench(*PRIORS, *place, "--quiet").code == 0
    record = next(
        path for path in (computed / "runs").iterdir() if '"prior": "cauchy"' in (path / "record.json").read_text()
    )
    shutil.rmtree(record)
    ended = bench(*PRIORS, "--collect", *place)
    assert ended.err.startswith("error: 1 of 3 things are missing")
    (command,) = listed(ended).values()
    assert "--prior cauchy" in command


def test_a_missing_classifier_and_a_missing_study(bench: Bench, computed: Path, tmp_path: Path) -> None:
    asked = ("paper", "theorem1", "--seeds", "1", "--samples", "50", *SIZES, "--collect", "--results-dir")
    empty = bench(*asked, str(tmp_path / "empty"))
    assert empty.code == 2
    assert list(listed(empty)) == ["er-classifier, seed 0"]
    assert bench(*asked, str(computed)).code == 0
    shutil.rmtree(computed / "store" / "studies")
    without = bench(*asked, str(computed))
    assert without.err.splitlines()[0] == "error: 1 thing is missing; --collect computes nothing. To make them:"
    (command,) = listed(without).values()
    assert command.startswith("bench paper theorem1 ")
    assert bench(*shlex.split(command)[1:], "--quiet").code == 0
    assert bench(*asked, str(computed)).code == 0


def test_all_tells_everything_at_once_and_writes_what_needs_nothing(bench: Bench, tmp_path: Path) -> None:
    ended = bench("paper", "all", "--seeds", "1", "--collect", "--results-dir", str(tmp_path / "results"))
    assert ended.code == 2
    assert ended.err.count("error: ") == 1
    computed = [entry.name for entry in ENTRIES if entry.families]
    assert ended.err.startswith(f"error: {len(computed)} artifacts lack ")
    told = listed(ended)
    assert [what.partition(":")[0] for what in told] == computed
    assert all(command.startswith("bench paper ") for command in told.values())
    alone = bench(*shlex.split(told["table3: 8 of 8"])[1:], "--collect")
    assert alone.err.startswith("error: 8 of 8 things are missing")
    assert list(listed(alone).values())[:-1] == [command for command in listed(alone).values() if " run " in command]
    written = {path.stem for path in (tmp_path / "results" / "paper").rglob("*.md")}
    assert written == {entry.name for entry in ENTRIES if not entry.families}
    assert not (tmp_path / "results" / "runs").exists()
    assert not (tmp_path / "results" / "store").exists()
