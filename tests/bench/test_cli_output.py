"""What the program prints: help, lists, tables; the numbers are read back and compared with the records'."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from small_runs import Ended, Finished

from attacks.backends.registry import BACKENDS
from attacks.registry import ATTACKS
from bench.datasets.registry import DATASETS
from bench.tables.metrics_table import ROWS, percent
from defenses.registry import DEFENSES

Bench = Callable[..., Ended]


def test_help_shows_the_commands(bench: Bench) -> None:
    ended = bench("--help")
    assert ended.code == 0
    for command in ("run", "list", "table"):
        assert re.search(rf"\b{command}\b", ended.out)


def test_help_of_run_groups_the_options(bench: Bench) -> None:
    out = bench("run", "--help").out
    panels = ["What to run", "Images", "Attack options", "Defense options", "Detector options", "Where and how"]
    places = [out.index(panel) for panel in panels]
    assert places == sorted(places)

    def panel_of(option: str) -> str:
        place = re.search(rf"{option}\b", out[places[0] :]).start() + places[0]
        return max((start, panel) for start, panel in zip(places, panels, strict=True) if start < place)[1]

    expected = {
        "--defense": "What to run",
        "--n-train": "Images",
        "--confidence": "Attack options",
        "--target": "Attack options",
        "--prior": "Defense options",
        "--train-attack": "Detector options",
        "--bandwidth": "Detector options",
        "--device": "Where and how",
        "--results-dir": "Where and how",
    }
    assert {option: panel_of(option) for option in expected} == expected


def test_the_options_of_the_command_line_are_those_of_the_library(bench: Bench) -> None:
    from bench.options import OPTIONS

    out = bench("run", "--help").out
    assert [name for name in OPTIONS if not re.search(rf"--{name.replace('_', '-')}\b", out)] == []


def test_help_tells_every_datasets_budget(bench: Bench) -> None:
    from bench.threats import THREATS

    out = " ".join(bench("run", "--help").out.split())
    for threat in THREATS.values():
        for value in (threat.epsilon, threat.step_size, threat.steps):
            assert re.search(rf"\b{value:g}\b", out), value


def test_list_shows_every_part_with_its_line_and_source(bench: Bench) -> None:
    ended = bench("list")
    assert ended.code == 0
    flat = " ".join(ended.out.split())
    for entry in [*DEFENSES, *ATTACKS, *DATASETS]:
        line = next(line for line in ended.out.splitlines() if line.split()[:1] == [entry.name])
        assert entry.summary.split()[0] in line
        assert entry.source.split()[0] in line
    assert all(title in flat for title in ("defenses", "attacks", "datasets", "what it is", "source"))


@pytest.mark.parametrize("width", [50, 80])
def test_list_cuts_nothing_off(bench: Bench, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    set_environment = monkeypatch.setenv
    monkeypatch.setattr(monkeypatch, "setenv", lambda name, _value: set_environment(name, str(width)))
    out = bench("list").out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= width
    # what stands in one column, put together again, holds every summary whole
    lines = [line for line in out.splitlines() if line.strip() and "─" not in line]
    start = next(line for line in lines if line.lstrip().startswith("backends")).index("what it is")
    end = next(line for line in lines if line.lstrip().startswith("backends")).index("source")
    backends = lines[[place for place, line in enumerate(lines) if line.lstrip().startswith("backends")][-1] + 1 :]
    column = "".join(line[start:end] for line in backends).replace(" ", "")
    for entry in BACKENDS:
        assert entry.summary.replace(" ", "") in column


@pytest.mark.parametrize(
    ("kind", "here", "elsewhere"),
    [("attacks", "pgd", "madry"), ("datasets", "stl10", "pgd"), ("defenses", "madry", "stl10")],
)
def test_list_shows_one_kind(bench: Bench, kind: str, here: str, elsewhere: str) -> None:
    names = [line.split()[0] for line in bench("list", kind).out.splitlines() if line.strip()]
    assert here in names
    assert elsewhere not in names


def test_table_formats(bench: Bench, finished: Finished, tmp_path: Path) -> None:
    place = ("--results-dir", str(finished.results_dir))
    record = finished.records["kd"]
    share = f"{100 * record.rate('acc_nadv').value:.2f}"
    markdown = bench("table", *place).out
    assert re.search(rf"\| KD \(epochs 20\) +\| +{re.escape(share)} \[", markdown)
    latex = bench("table", record.run_id[:8], *place, "--format", "latex").out
    assert latex.count(r"\toprule") == 1
    assert f"KD (epochs 20) & {share} [" in latex
    ended = bench("table", *place, "--format", "csv", "--out", str(tmp_path / "t.csv"))
    assert ended.out == f"wrote {tmp_path / 't.csv'}\n"
    frame = pd.read_csv(tmp_path / "t.csv").set_index("run")
    assert set(frame.index) == {record.run_id for record in finished.records.values()}
    assert frame.loc[record.run_id].eq(record.rate("acc_nadv").value).any()


def test_run_prints_the_records_numbers_and_where_they_lie(bench: Bench, finished: Finished) -> None:
    record = finished.records["er1"]
    command = ["run", "--defense", "er1", "--attack", "cw", "--confidence", "2", "--steps", "40", "--search-steps", "2"]
    command += ["--initial-c", "10", "--n-train", "400", "--epochs", "6", "--n-fit", "20", "--n-test", "20"]
    ended = bench(*command, "--results-dir", str(finished.results_dir))
    assert ended.code == 0
    assert str(finished.results_dir / "runs" / record.run_id) in ended.out
    for row in ROWS:
        if row.metric in record.metrics:
            title = "reached confidence 2" if row.metric == "reached" else row.title
            (line,) = [line.strip() for line in ended.out.splitlines() if line.strip().startswith(f"{title}  ")]
            assert line.removeprefix(title).strip() == row.cell(record)
    assert percent(record.rate("acc_com")) in ended.out
    head = ended.out.partition("─")[0].split("\n")
    assert [line.strip() for line in head if line.strip()] == [
        "er1 · cw κ=2",
        "2 searches, 40 steps",
        "trained on fgsm",
        "digits, sound, quick",
    ]
    distance = record.metrics["embedding"]["squared_mmd"]
    assert f"embedding to gaussian prior: squared MMD {distance:.3f} (unregularized " in ended.out
    for note in record.notes:
        assert note in ended.out


def test_the_installed_program_answers() -> None:
    program = Path(sys.executable).with_name("bench")
    if not program.exists():
        pytest.skip("the package is not installed beside this interpreter")
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: bench" in done.stdout
