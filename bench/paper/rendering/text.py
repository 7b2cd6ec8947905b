"""An artifact's table as LaTeX, Markdown and CSV."""

from dataclasses import dataclass

from bench.paper.contract import Column, Entry, Made
from bench.tables.latex import environment, escape

WIDE = 6.0  # inches


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A head above columns `first` to `last`, counted from 1; empty above columns without one."""

    title: str
    first: int
    last: int

    @property
    def span(self) -> int:
        """How many columns it stands above."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One line of heads."""

    heads: tuple[Head, ...]


def to_latex(made: Made, caption: str, *, command: str, picture: str) -> str:
    r"""A float: a table, shrunk where it is wider than a line, below its picture where there is one.

    It needs booktabs and graphicx.

    Args:
        made: the artifact.
        caption: see `bench.paper.rendering.captions`.
        command: that makes it, for the first line.
        picture: file name for \includegraphics; empty without a figure.
    """
    table = made.table
    return (
        environment()
        .get_template("paper.tex.j2")
        .render(
            command=command,
            caption=escape(caption),
            kind="figure" if picture else "table",
            picture=picture,
            width="1.0" if _is_wide(made) else "0.6",
            levels=levels_of(table.columns),
            titles=[escape(column.title) for column in table.columns],
            blocks=[[[_latex_entry(entry) for entry in row] for row in block] for block in table.blocks],
        )
    )


def _is_wide(made: Made) -> bool:
    """Whether the picture has several panels side by side and wants the page's width."""
    return made.figure is not None and made.figure.get_figwidth() > WIDE


def to_markdown(made: Made, caption: str, *, command: str, picture: str) -> str:
    """Title, picture, table, findings, and the command that makes them."""
    from tabulate import tabulate

    table = made.table
    headers = [_without_bars(" · ".join([*column.groups, column.title])) for column in table.columns]
    rows = [[_markdown_entry(entry) for entry in row] for block in table.blocks for row in block]
    align = ["left"] + ["right"] * (len(headers) - 1)
    parts = [caption]
    if picture:
        parts.append(f"![{made.title}]({picture})")
    parts.append(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True, colalign=align))
    if made.findings:
        parts.append("\n".join(f"- {finding}" for finding in made.findings))
    parts.append(f"    {command}")
    return "\n\n".join(parts) + "\n"


def read_markdown(text: str) -> tuple[str, str]:
    """What `to_markdown` wrote: (everything before the command, the command); no command in a file of other making."""
    body, _, last = text.rstrip("\n").rpartition("\n")
    command = last.strip()
    return (body, command) if command.startswith("bench paper ") else (text, "")


def to_csv(made: Made) -> str:
    """The data behind an artifact, unrounded."""
    import pandas as pd

    return str(pd.DataFrame(list(made.data), dtype=object).to_csv(index=False))


def levels_of(columns: tuple[Column, ...]) -> list[Level]:
    """The lines of heads above a table, outermost first; neighbors under the same heads are joined."""
    depth = max(len(column.groups) for column in columns)
    levels = []
    for line in range(depth):
        heads: list[Head] = []
        for place, column in enumerate(columns, start=1):
            title = escape(column.groups[line]) if line < len(column.groups) else ""
            joins = place > 1 and columns[place - 2].groups[: line + 1] == column.groups[: line + 1]
            if joins:
                heads[-1] = Head(title=title, first=heads[-1].first, last=place)
            else:
                heads.append(Head(title=title, first=place, last=place))
        levels.append(Level(heads=tuple(heads)))
    return levels


def _latex_entry(entry: Entry) -> str:
    text = escape(entry.text)
    return rf"\textbf{{{text}}}" if entry.bold else text


def _markdown_entry(entry: Entry) -> str:
    text = _without_bars(entry.text)
    return f"**{text}**" if entry.bold else text


def _without_bars(text: str) -> str:
    """Text whose vertical bars part no columns."""
    return text.replace("|", "\\|")
