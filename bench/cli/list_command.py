"""`bench list`: what is registered."""

from typing import Annotated

import typer

KINDS = ("defenses", "attacks", "datasets", "backends", "artifacts")


def list_command(
    kind: Annotated[
        str | None, typer.Argument(help="defenses, attacks, datasets, backends or artifacts; all when left out")
    ] = None,
) -> None:
    """Show what is registered: name, one line, source."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from attacks.backends.registry import BACKENDS
    from attacks.errors import RequestError
    from attacks.registration import unknown_name
    from attacks.registry import ATTACKS
    from bench.datasets.registry import DATASETS
    from bench.paper.registry import ARTIFACTS
    from defenses.registry import DEFENSES

    registries = dict(zip(KINDS, (DEFENSES, ATTACKS, DATASETS, BACKENDS, ARTIFACTS), strict=True))
    if kind is not None and kind not in registries:
        raise RequestError(unknown_name("list", kind, list(KINDS)))
    console = Console(highlight=False)
    for title in [kind] if kind else KINDS:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(title, no_wrap=True, style="bold")
        table.add_column("what it is", overflow="fold")  # whole, so that commands and addresses can be copied
        table.add_column("source", style="dim", overflow="fold")
        for entry in registries[title]:  # type: ignore[attr-defined]  # entries of several kinds
            table.add_row(entry.name, escape(entry.summary), escape(entry.source))
        console.print(table)
