"""The options of the commands that look at finished runs, each with its help."""

from pathlib import Path
from typing import Annotated

import typer

Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Run hashes, their first digits, or paths of records; all when left out."),
]
Model = Annotated[
    str | None,
    typer.Option(help="The model that records of a user's own model are about.", metavar="FILE.py:NAME"),
]
Weights = Annotated[str | None, typer.Option(help="Its weights.", metavar="FILE")]
Folder = Annotated[Path | None, typer.Option(help="Your copy of the images of records of folder:PATH.", metavar="PATH")]
