"""What `bench paper` prints: tables cut to the terminal's width, nothing of them lost."""

from dataclasses import replace
from pathlib import Path

import pytest
from tables_made_up import artifact, entry

from bench.cli.paper_output import show_artifact, show_missing
from bench.paper.contract import Column, Entry, PaperTable, plain_row
from bench.paper.make import Finished
from bench.paper.missing import Missing, MissingError

NAMING = (Column(title="Protocol"), Column(title="Method"))
NUMBERS = tuple(Column(title=f"title {number}", groups=(f"group {number // 2}",)) for number in range(6))


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, finished: Finished, width: int) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    show_artifact(finished)
    return capsys.readouterr().out


def finished() -> Finished:
    row = plain_row("sound", "ER1", *(f"{number}.0 [0.0, 9.9]" for number in range(6)))
    wide = PaperTable(columns=(*NAMING, *NUMBERS), blocks=((row,), (plain_row(*"abcdefgh"),)), names=2)
    made = artifact(wide, findings=("a finding [with brackets]",))
    return Finished(entry=entry(), made=made, files=(Path("results/paper/table99.md"),))


@pytest.mark.parametrize(("width", "parts"), [(200, 1), (80, 2), (40, 6)])
def test_a_wide_table_is_cut_into_parts_that_repeat_what_names_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, parts: int
) -> None:
    out = shown(capsys, monkeypatch, finished(), width)
    assert out.count("sound") == out.count("ER1") == parts
    assert [f"{number}.0 [0.0, 9.9]" for number in range(6) if f"{number}.0 [0.0, 9.9]" not in out] == []
    assert [f"title {number}" for number in range(6) if f"title {number}" not in out] == []
    assert max(len(line) for line in out.splitlines() if "results" not in line) <= width


def test_title_findings_and_files_are_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out = shown(capsys, monkeypatch, finished(), 80)
    assert out.startswith("table99: A title\n")
    assert "· a finding [with brackets]\n" in out
    assert "  results/paper/table99.md\n" in out


def test_what_has_no_artifact_shows_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Finished(entry=entry(), made=None, error=MissingError([Missing(what="x", command="a")], command="b"))
    assert shown(capsys, monkeypatch, failed, 80) == ""


def test_what_several_artifacts_lack_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    def lacking(artifact: str, *names: str) -> Finished:
        missing = [Missing(what=name, command=f"bench run {name}") for name in names]
        error = MissingError(missing, of=9, command=f"bench paper {artifact}")
        return Finished(entry=entry(name=artifact), made=None, error=error)

    assert show_missing([lacking("table8", "a", "b"), finished(), lacking("table9", "b")]) == 2
    assert capsys.readouterr().err == (
        "error: 2 artifacts lack what they are put together of (asked alone, each tells what); "
        "--collect computes nothing. To make them:\n"
        "  table8: 2 of 9  bench paper table8\n"
        "  table9: 1 of 9  bench paper table9\n"
        "  or all at once  the same command without --collect\n"
    )
    assert show_missing([finished(), lacking("table8", "a", "b")]) == 2
    assert capsys.readouterr().err == (
        "error: 2 of 9 things are missing; --collect computes nothing. To make them:\n"
        "  a               bench run a\n  b               bench run b\n  or all at once  bench paper table8\n"
    )
    assert show_missing([finished()]) == 0
    assert capsys.readouterr().err == ""


def test_signs_of_markup_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ((Entry(text="[bold]x[/bold]", bold=True), Entry(text="[/]")),)
    columns = (Column(title="[red]head[/red]"), Column(title="b"))
    made = artifact(PaperTable(columns=columns, blocks=(rows,)))
    out = shown(capsys, monkeypatch, replace(finished(), made=made), 80)
    assert "[red]head[/red]" in out
    assert "[bold]x[/bold]" in out
