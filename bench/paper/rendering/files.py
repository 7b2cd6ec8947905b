"""The files of an artifact, written whole into `results/paper/<dataset>/<recipe>/`."""

import logging
import re
from contextlib import suppress
from pathlib import Path

from bench.files import write_atomically, write_text
from bench.paper.contract import ArtifactEntry, Made, PaperRequest
from bench.paper.options import VARIATIONS, spelled
from bench.paper.rendering.captions import dataset_label
from bench.paper.rendering.text import read_markdown, to_csv, to_latex, to_markdown

DOCUMENT = "all.tex"
PICTURE_DPI = 150
EVERY_DATASET = "every-dataset"
log = logging.getLogger("erbench")


def folder_of(entry: ArtifactEntry, request: PaperRequest, results_dir: Path) -> Path:
    """Where an artifact's files go: by dataset, where it takes one, and by recipe with what varies it."""
    dataset = dataset_label(request.dataset) if entry.families else EVERY_DATASET
    varied = [
        f"{name.replace('_', '-')}-{spelled(request.settings[name])}" for name in VARIATIONS if name in request.settings
    ]
    recipe = "-".join([request.recipe, *varied])
    return results_dir / "paper" / re.sub(r"[^\w.-]+", "-", dataset) / recipe


def save_artifact(
    entry: ArtifactEntry, request: PaperRequest, made: Made, *, caption: str, command: str, results_dir: Path
) -> list[Path]:
    """Write LaTeX, Markdown, CSV and, for figures, PNG and PDF; then the document that joins the folder's artifacts.

    Returns:
        The artifact's files, the one to read first in front.

    Raises:
        StorageError: the folder cannot be written to.
    """
    folder, name = folder_of(entry, request, results_dir), entry.name
    files = []
    if made.figure is not None:
        for ending in ("png", "pdf"):
            files.append(folder / f"{name}.{ending}")
            write_atomically(files[-1], lambda path, kind=ending: _save_figure(made, path, kind))  # type: ignore[misc]
    pictures = {ending: f"{name}.{ending}" if made.figure is not None else "" for ending in ("png", "pdf")}
    texts = {
        "md": to_markdown(made, caption, command=command, picture=pictures["png"]),
        "tex": to_latex(made, caption, command=command, picture=pictures["pdf"]),
        "csv": to_csv(made),
    }
    _tell_what_is_replaced(folder / f"{name}.md", texts["md"])
    for ending, text in texts.items():
        files.append(folder / f"{name}.{ending}")
        write_atomically(files[-1], lambda path, text=text: write_text(path, text))  # type: ignore[misc]
    write_atomically(folder / DOCUMENT, lambda path: write_text(path, document_of(folder)))
    return sorted(files, key=lambda path: path.suffix != ".md")


def _tell_what_is_replaced(path: Path, text: str) -> None:
    """Warn where another command's artifact of the same name gives way, which sizes and seeds do not keep apart."""
    with suppress(OSError, UnicodeDecodeError):
        body, command = read_markdown(path.read_text(encoding="utf-8"))
        new_body, new_command = read_markdown(text)
        if command and command != new_command and body != new_body:
            log.warning("%s replaces what another command had made: %s", path, command)


def document_of(folder: Path) -> str:
    """A LaTeX document of all artifacts in a folder, for any engine."""
    names = sorted((path.name for path in folder.glob("*.tex") if path.name != DOCUMENT), key=_by_number)
    inputs = "".join(f"\\begingroup{_numbered(name)}\\input{{{name}}}\n\\endgroup\\clearpage\n" for name in names)
    return (
        "\\documentclass{article}\n\\usepackage[margin=2cm]{geometry}\n\\usepackage{booktabs,graphicx}\n"
        f"\\begin{{document}}\n{inputs}\\end{{document}}\n"
    )


def _numbered(name: str) -> str:
    r"""Let LaTeX number an artifact as the paper does: "table3.tex" is Table 3; others have their names."""
    kind, number = _by_number(name)
    shown = str(number) if kind in ("table", "figure") else name.removesuffix(".tex")
    return f"\\renewcommand{{\\thetable}}{{{shown}}}\\renewcommand{{\\thefigure}}{{{shown}}}"


def _by_number(name: str) -> tuple[str, int]:
    """table2 before table10, tables after figures."""
    match = re.match(r"([a-z]+)(\d*)", name)
    assert match is not None
    return match[1], int(match[2] or 0)


def _save_figure(made: Made, path: Path, kind: str) -> None:
    assert made.figure is not None
    metadata = {"CreationDate": None} if kind == "pdf" else {}  # so that the same numbers give the same file
    made.figure.savefig(path, format=kind, dpi=PICTURE_DPI, bbox_inches="tight", metadata=metadata)
