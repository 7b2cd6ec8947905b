"""An artifact's table as LaTeX, Markdown and CSV, from a table made up here whose every sign is known."""

import csv
import io
import re
from typing import Any

import pytest
from tables_made_up import artifact, table

from bench.paper.contract import Column, Entry, PaperTable, plain_row
from bench.paper.rendering.text import levels_of, to_csv, to_latex, to_markdown

COLUMNS = (
    Column(title="Method"),
    Column(title="ours", groups=("A & B", "first")),
    Column(title="paper", groups=("A & B", "first")),
    Column(title="Δ", groups=("A & B", "second")),
    Column(title="n"),
    Column(title="ours", groups=("C",)),
    Column(title="paper", groups=("C",)),
)


def latex(made: Any = None, **changes: Any) -> str:
    given = {"caption": "A caption.", "command": "bench paper table3", "picture": ""} | changes
    return to_latex(made or artifact(table(COLUMNS)), **given)


def heads(text: str) -> list[list[tuple[int, str]]]:
    """Every line of heads, as (columns, title) from left to right; titles of single columns included."""
    lines = text.partition("\\toprule\n")[2].partition("\\midrule")[0].splitlines()
    found = []
    for line in lines:
        if not line.strip().endswith("\\\\"):
            continue
        cells = re.split(r"(?<!\\)&", line.strip().removesuffix("\\\\"))
        spans = [re.fullmatch(r"\s*\\multicolumn\{(\d+)\}\{c\}\{(.*)\}\s*", cell) for cell in cells]
        found.append(
            [(int(span[1]), span[2]) if span else (1, cell.strip()) for span, cell in zip(spans, cells, strict=True)]
        )
    return found


def test_heads_span_the_columns_below_them() -> None:
    first, second, titles = heads(latex())
    assert first == [(1, ""), (3, r"A \& B"), (1, ""), (2, "C")]
    assert second == [(1, ""), (2, "first"), (1, "second"), (1, ""), (2, "")]
    assert titles == [(1, title) for title in ("Method", "ours", "paper", r"$\Delta$", "n", "ours", "paper")]
    for line in (first, second, titles):
        assert sum(span for span, _ in line) == len(COLUMNS)


def test_rules_stand_below_the_heads_that_have_a_title() -> None:
    rules = [
        re.findall(r"\\cmidrule\(lr\)\{(\d+-\d+)\}", line) for line in latex().splitlines() if "\\cmidrule" in line
    ]
    assert rules == [["2-4", "6-7"], ["2-3", "4-4"]]


def test_equal_heads_below_different_ones_are_not_joined() -> None:
    columns = (Column(title="a"), Column(title="b", groups=("one", "x")), Column(title="c", groups=("two", "x")))
    spans = [[(head.title, head.first, head.last) for head in level.heads] for level in levels_of(columns)]
    assert spans == [
        [("", 1, 1), ("one", 2, 2), ("two", 3, 3)],
        [("", 1, 1), ("x", 2, 2), ("x", 3, 3)],
    ]


def test_a_table_without_heads_has_its_titles_alone() -> None:
    text = latex(artifact(table((Column(title="a"), Column(title="b")))))
    assert heads(text) == [[(1, "a"), (1, "b")]]
    assert "\\cmidrule" not in text


def test_blocks_are_set_apart_and_bold_is_bold() -> None:
    rows = (Entry(text="97 %", bold=True), Entry(text="1 < 2")), (Entry(text="KD"), Entry(text="a_b", bold=True))
    made = artifact(PaperTable(columns=(Column(title="a"), Column(title="b")), blocks=((rows[0],), (rows[1],))))
    body = latex(made).partition("b \\\\\n")[2].partition("\\bottomrule")[0]
    assert [line.strip() for line in body.splitlines() if line.strip()] == [
        r"\midrule",
        r"\textbf{97 \%} & 1 $<$ 2 \\",
        r"\midrule",
        r"KD & \textbf{a\_b} \\",
    ]
    assert r"| **97 %** | 1 < 2 |" in re.sub(" +", " ", to_markdown(made, "", command="", picture=""))


def test_tables_float_as_tables_and_figures_as_figures_with_their_numbers() -> None:
    assert "\\includegraphics" not in latex()
    assert latex().count("\\begin{table}") == latex().count("\\end{table}") == 1
    text = latex(picture="figure1.pdf")
    assert text.count("\\begin{figure}") == text.count("\\end{figure}") == 1
    assert re.search(r"\\includegraphics\[width=[\d.]+\\linewidth\]\{figure1\.pdf\}", text)
    assert "\\begin{tabular}" in text


@pytest.mark.parametrize("place", ["text", "title", "group"])
def test_pipes_do_not_break_markdown(place: str) -> None:
    signs = {"text": "x", "title": "x", "group": "x"} | {place: "|x|"}
    columns = (Column(title="name"), Column(title=signs["title"], groups=(signs["group"],)))
    made = artifact(PaperTable(columns=columns, blocks=((plain_row("a", signs["text"]),),)))
    lines = [line for line in to_markdown(made, "", command="", picture="").splitlines() if line.startswith("|")]
    assert len(lines) == 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3}
    assert r"\|x\|" in "\n".join(lines)


def test_markdown_holds_everything() -> None:
    made = artifact(table(COLUMNS), findings=("first finding", "second"))
    text = to_markdown(made, "A caption.", command="bench paper figure1 --seeds 3", picture="figure1.png")
    assert text.startswith("A caption.\n\n![A title](figure1.png)\n\n|")
    assert "| A & B · first · ours |" in re.sub(" +", " ", text)
    assert text.endswith("- first finding\n- second\n\n    bench paper figure1 --seeds 3\n")
    assert "![" not in to_markdown(made, "A caption.", command="", picture="")


def test_csv_gives_every_number_back_as_it_was() -> None:
    floats = [0.1 + 0.2, 1 / 3, -2.5e-17, 5e-324, 1.7976931348623157e308, 1e22, 100.0]
    data = tuple(
        {"float": value, "int": 10**number, "text": 'a, "b"\nc', "none": None} for number, value in enumerate(floats)
    )
    data += ({"float": None, "int": None, "text": "", "none": None},)
    rows = list(csv.DictReader(io.StringIO(to_csv(artifact(table(COLUMNS), data=data)))))
    assert [float(row["float"]) for row in rows[:-1]] == floats
    assert [row["int"] for row in rows[:-1]] == [str(10**number) for number in range(len(floats))]
    assert {row["text"] for row in rows[:-1]} == {'a, "b"\nc'}
    assert list(rows[-1].values()) == ["", "", "", ""]


def test_a_row_must_fill_its_columns() -> None:
    with pytest.raises(ValueError, match="other entries than the table has columns"):
        PaperTable(columns=(Column(title="a"), Column(title="b")), blocks=((plain_row("only one"),),))
