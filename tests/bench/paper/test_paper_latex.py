"""What artifacts write compiles: all of a folder in one document, and each in a document of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from small_paper import ENTRIES, NAMES, SmallPaper
from tables_made_up import artifact, table

from bench.paper.contract import ArtifactEntry, Column
from bench.paper.rendering.text import to_latex
from bench.tables.latex import _SPECIAL

ENGINES = ("pdflatex", "lualatex", "xelatex")


@pytest.fixture(scope="module")
def engine() -> str:
    found = next((path for name in ENGINES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no LaTeX engine is installed: {', '.join(ENGINES)}")
    return found


def compiled(engine: str, folder: Path, document: str) -> tuple[int, str]:
    """Compile a document where it lies; its number of pages, and the engine's log."""
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", document]
    unbroken = os.environ | {"max_print_line": "10000"}  # otherwise lines of the log end in the middle of words
    done = subprocess.run(command, cwd=folder, capture_output=True, env=unbroken, check=False)
    log = (folder / document).with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert (folder / document).with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    pages = re.search(r"Output written on .*?\((\d+) pages?", log)
    assert pages is not None
    return int(pages[1]), log


def document_of(fragment: str) -> str:
    lines = (
        "\\documentclass{article}",
        "\\usepackage{booktabs,graphicx}",
        "\\begin{document}",
        f"\\input{{{fragment}}}",
    )
    return "\n".join((*lines, "\\end{document}", ""))


def test_all_of_a_folder_compiles(small_paper: SmallPaper, engine: str, tmp_path: Path) -> None:
    for place in {small_paper.folder(entry) for entry in ENTRIES}:
        folder = shutil.copytree(place, tmp_path / place.parent.name)
        artifacts = {entry.name: entry for entry in ENTRIES if small_paper.folder(entry) == place}
        pages, log = compiled(engine, folder, "all.tex")
        assert pages >= len(artifacts)
        assert {name for name in NAMES if re.search(rf"\((\./)?{name}\.tex\b", log)} == set(artifacts)
        assert re.findall(r"Overfull \\hbox.*", log) == []
        contents = (folder / "all.aux").read_text(encoding="utf-8", errors="replace")
        numbers = re.findall(r"\\contentsline \{(table|figure)\}\{\\numberline \{(\w+)\}", contents)
        assert set(numbers) == {
            ("figure" if small_paper.is_figure(entry) else "table", re.sub("^(table|figure)", "", name))
            for name, entry in artifacts.items()
        }


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_every_artifact_compiles_in_a_document_of_its_own(
    small_paper: SmallPaper, engine: str, tmp_path: Path, entry: ArtifactEntry
) -> None:
    for ending in ("tex", "pdf") if small_paper.is_figure(entry) else ("tex",):
        shutil.copy(small_paper.file(entry, ending), tmp_path)
    (tmp_path / "alone.tex").write_text(document_of(entry.name), encoding="utf-8")
    pages, log = compiled(engine, tmp_path, "alone.tex")
    assert pages == 1
    assert re.findall(r"Overfull \\[hv]box.*", log) == []


def test_every_sign_that_is_escaped_compiles(engine: str, tmp_path: Path) -> None:
    signs = "".join(_SPECIAL)
    made = artifact(table((Column(title=signs), Column(title="b", groups=(signs,)))))
    text = to_latex(made, signs, command=f"bench paper --{signs}", picture="")
    (tmp_path / "signs.tex").write_text(text, encoding="utf-8")
    (tmp_path / "alone.tex").write_text(document_of("signs"), encoding="utf-8")
    assert compiled(engine, tmp_path, "alone.tex")[0] == 1


def test_a_narrow_table_keeps_its_size_and_a_wide_one_is_shrunk(engine: str, tmp_path: Path) -> None:
    def width(columns: int) -> float:
        titles = tuple(Column(title="twenty letters long") for _ in range(columns))
        fragment = to_latex(artifact(table(titles)), "", command="", picture="")
        measured = fragment.replace("\\resizebox", "\\setbox0\\hbox{\\resizebox").replace(
            "\\end{tabular}}", "\\end{tabular}}}\\typeout{WIDTH \\the\\wd0 of \\the\\linewidth}"
        )
        (tmp_path / "measured.tex").write_text(measured, encoding="utf-8")
        (tmp_path / "alone.tex").write_text(document_of("measured"), encoding="utf-8")
        found = re.search(r"WIDTH ([\d.]+)pt *of ([\d.]+)pt", compiled(engine, tmp_path, "alone.tex")[1])
        assert found is not None
        return float(found[1]) / float(found[2])

    assert 0.2 < width(2) < 0.7
    assert width(9) == pytest.approx(1, abs=1e-3)
