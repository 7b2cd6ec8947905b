"""Command lines that make runs again, and options that come from files."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_runs import BASELINE, Ended, Finished

from attacks.errors import DataError, RequestError
from bench.command_line import command_line, settings_of_file, settings_of_record
from bench.grid import expand
from bench.options import OPTIONS, parse_value
from bench.request import Request
from bench.storage.answers import answer, note_of, remember

Bench = Callable[..., Ended]
KNOWN = {"defense": False, "attack": False, "epsilon": False, "n_test": False, "adversarial_training": True}


@pytest.mark.parametrize(
    "asked",
    [
        {"defense": ["er1"], "attack": ["cw"], "confidence": [20.0]},
        {"defense": ["kd"], "attack": ["pgd"], "adversarial_training": [True], "n_test": [7], "seed": [3]},
        {"defense": ["standard"], "attack": ["fgsm"], "dataset": ["folder:/a b/c"], "image_size": [28]},
        {"defense": ["kd"], "attack": ["fgsm"], "bandwidth": [None]},
    ],
)
def test_the_command_line_of_a_request_asks_for_it_again(asked: dict[str, list[Any]]) -> None:
    (request,) = expand(asked)
    words = shlex.split(command_line(request))
    assert words[:2] == ["bench", "run"]
    values: dict[str, list[Any]] = {}
    rest = words[2:]
    while rest:
        name = rest.pop(0).removeprefix("--").replace("-", "_")
        is_flag = not rest or rest[0].startswith("--")
        values[name] = [True] if is_flag else [parse_value(name, rest.pop(0))]
    assert set(values) <= set(OPTIONS)
    (again,) = expand(values)
    assert again == request


def test_what_was_not_asked_for_is_not_in_the_command_line() -> None:
    assert command_line(Request(defense="kd", attack="fgsm")) == "bench run --defense kd --attack fgsm"
    own = Request(defense="model", attack="fgsm", model="/my/net.py:make", dataset="mnist")
    assert command_line(own) == "bench run --dataset mnist --model /my/net.py:make --attack fgsm"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_gives_options_as_the_command_line_takes_them(tmp_path: Path) -> None:
    text = 'defense = ["er1", "kd"]\nattack = "pgd"\nepsilon = [0.1, 0.3]\nn-test = 20\nadversarial-training = true\n'
    assert settings_of_file(write(tmp_path / "sweep.toml", text), KNOWN) == {
        "defense": "er1,kd",
        "attack": "pgd",
        "epsilon": "0.1,0.3",
        "n_test": "20",
        "adversarial_training": True,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('defence = "er1"', "unknown option 'defence'; did you mean 'defense'"),
        ("attack = ", "is not TOML"),
        ("attack = []", "attack wants a value or a list of them"),
        ("epsilon = [[0.1]]", "epsilon wants a value or a list of them"),
        ("[run]\nattack = 'pgd'", r"options stand at the top of the file; \[run\] is a table"),
        ("n-test = 'many'", "sweep.toml: --n-test takes a whole number or a comma list of them, got 'many'"),
        ("n-test = true", "n-test wants a value or a list of them, got true"),
        ("adversarial-training = 'yes'", 'adversarial-training wants true or false, got "yes"'),
        ("n-test = 5\nn_test = 6", "n_test is there twice"),
        ("attack = {a = 1}", "attack wants a value"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        settings_of_file(write(tmp_path / "sweep.toml", text), KNOWN)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot read --config"):
        settings_of_file(tmp_path / "none.toml", KNOWN)
    with pytest.raises(DataError, match="there is no record"):
        settings_of_record(tmp_path)


def test_a_record_without_a_request_says_so(tmp_path: Path) -> None:
    write(tmp_path / "record.json", json.dumps({"record": {"command": "bench run"}}))
    with pytest.raises(DataError, match="does not say what was asked for"):
        settings_of_record(tmp_path / "record.json")


def test_flags_go_before_the_file_and_the_file_before_the_defaults(tmp_path: Path, bench: Bench) -> None:
    config = write(tmp_path / "sweep.toml", 'defense = "standard"\nattack = ["fgsm", "pgd"]\nn-test = 20\n')
    place = ("--results-dir", str(tmp_path / "results"))
    both = bench("run", "--config", str(config), "--dry-run", *place)
    assert both.code == 0
    assert "standard · fgsm" in both.out
    assert "standard · pgd" in both.out
    assert "2 cells, 0 done" in both.out
    one = bench("run", "--attack", "noise", "--config", str(config), "--dry-run", *place)
    assert "standard · noise" in one.out
    assert "fgsm" not in one.out
    other = bench("run", "--config", str(config), "--n-test", "21", "--dry-run", *place)
    assert other.out != both.out
    assert not (tmp_path / "results").exists()


def test_a_dry_run_knows_what_is_done_and_how_long_the_rest_may_take(finished: Finished, bench: Bench) -> None:
    asked = [f"--{name.replace('_', '-')}={value}" for name, value in (BASELINE | {"n_test": 20, "steps": 3}).items()]
    place = f"--results-dir={finished.results_dir}"
    shown = bench("run", "--defense", "standard", "--attack", "pgd", "--restarts", "1,2", *asked, "--dry-run", place)
    assert shown.code == 0, shown.err
    assert "2 cells, 1 done; the rest may take" in shown.out
    lines = {line.split("  ")[0].strip(): line for line in shown.out.splitlines() if "digits" in line}
    assert sorted(word for line in lines.values() for word in ("done", "trained") if f" {word} " in line) == [
        "done",
        "trained",
    ]


def test_a_run_made_again_from_its_record(finished: Finished, bench: Bench) -> None:
    place = ("--results-dir", str(finished.results_dir))
    record = finished.records["kd"]
    folder = finished.results_dir / "runs" / record.run_id
    again = bench("run", "--from", str(folder / "record.json"), *place)
    assert again.code == 0, again.err
    assert str(folder) in again.out
    changed = bench("run", "--from", str(folder), "--n-test", "19", "--dry-run", *place)
    assert record.run_id not in changed.out


def test_a_finished_grid_is_answered_without_pytorch(finished: Finished, bench: Bench) -> None:
    record = finished.records["pgd"]
    words = [*shlex.split(record.command)[1:], "--results-dir", str(finished.results_dir), "--quiet"]
    first = bench(*words)
    assert first.code == 0, first.err
    script = "import sys\nfrom bench.cli import main\ntry:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    command = [sys.executable, "-c", script, *words]
    root = Path(__file__).resolve().parents[2]
    second = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True, timeout=60)
    assert second.stdout.splitlines()[-1] == "False"
    assert str(finished.results_dir / "runs" / record.run_id) in second.stdout


def test_a_changed_record_is_no_answer(
    finished: Finished, bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "results"
    shutil.copytree(finished.results_dir, place)
    record = finished.records["fgsm"]
    words = [*shlex.split(record.command)[1:], "--results-dir", str(place), "--quiet"]
    first = bench(*words)
    file = place / "runs" / record.run_id / "record.json"
    text = file.read_text()
    file.write_text(text.replace('"status": "done"', '"status": "done "'))
    again = bench(*words)
    assert again.code == 0
    assert "does not match its checksum" in caplog.text
    assert again.out == first.out
    assert json.loads(file.read_text())["record"]["metrics"] == json.loads(text)["record"]["metrics"]


def test_what_changes_while_a_command_runs_is_no_answer(finished: Finished, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.png").write_bytes(b"before")
    values = {"dataset": [f"folder:{images}"]}

    def note_now() -> Path:
        note = note_of(values, {}, results_dir=finished.results_dir, data_dir=tmp_path)
        assert note is not None
        return note

    asked = note_now()
    (images / "a.png").write_bytes(b"changed meanwhile")
    remember(asked, [finished.records["pgd"]])
    assert answer(asked, finished.results_dir) == [finished.records["pgd"]]
    assert answer(note_now(), finished.results_dir) is None
