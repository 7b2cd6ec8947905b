"""`bench store`: what the store holds, how large it is, what may go, and what somebody else needs of it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import run_options as options

if TYPE_CHECKING:
    from bench.storage.contents import Contents

store_app = typer.Typer(
    name="store",
    help="Show, measure and clean what runs have stored, and pack it for somebody else.",
    no_args_is_help=True,
)


@store_app.command("ls")
def ls_command(
    kind: Annotated[
        str | None, typer.Option(help="classifiers, detectors, crafted or checkpoints; all when left out.")
    ] = None,
    results_dir: options.ResultsDir = Path("results"),
    debug: options.Debug = False,
) -> None:
    """List what is stored: what it is, its size and age, and how many records need it."""
    from attacks.errors import RequestError
    from attacks.registration import unknown_name
    from bench.cli.printable import age_in_words, printable, size_in_words
    from bench.storage.words import KINDS

    if kind is not None and kind not in KINDS:
        raise RequestError(unknown_name("kind", kind, list(KINDS)))
    items = [item for item in _contents(results_dir).items if kind in (None, item.kind)]
    if not items:
        typer.echo(f"nothing is stored under {results_dir / 'store'}" + (f" of the kind {kind}" if kind else ""))
        return
    typer.echo(f"{'kind':<11}  {'key':<16}  {'size':>8}  {'age':>6}  records  what")
    for item in items:
        sized = f"{size_in_words(item.bytes):>8}  {age_in_words(item.age):>6}  {item.users:>7}"
        typer.echo(printable(f"{item.kind:<11}  {item.key:<16}  {sized}  {item.what}"))


@store_app.command("size")
def size_command(
    results_dir: options.ResultsDir = Path("results"),
    debug: options.Debug = False,
) -> None:
    """Say how much is stored, by kind and in total; files that killed runs left are counted apart."""
    from bench.cli.printable import printable, size_in_words

    contents = _contents(results_dir)
    if not contents.items and not contents.leftovers:
        typer.echo(f"nothing is stored under {results_dir / 'store'}")
        return
    lines = []
    for kind in dict.fromkeys(item.kind for item in contents.items):
        sizes = [item.bytes for item in contents.items if item.kind == kind]
        lines.append((printable(kind), len(sizes), sum(sizes)))
    lines.append(("in total", len(contents.items), sum(item.bytes for item in contents.items)))
    leftovers = contents.leftovers
    lines.append(("left over", len(leftovers), sum(leftover.bytes for leftover in leftovers)))
    for name, count, size in lines:
        typer.echo(f"{name:<12} {count:>7,} {size_in_words(size):>10}")
    if leftovers:
        typer.echo("what is left over comes from killed runs; `bench store prune --leftovers` removes it")


@store_app.command("prune")
def prune_command(
    older_than: Annotated[
        str | None, typer.Option(help="Things made longer ago, for instance 30d (m, h, d, w).", metavar="AGE")
    ] = None,
    unused: Annotated[bool, typer.Option("--unused", help="Only things that no record needs.")] = False,
    leftovers: Annotated[
        bool, typer.Option("--leftovers", help="Files that killed runs left more than an hour ago.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    results_dir: options.ResultsDir = Path("results"),
    debug: options.Debug = False,
) -> None:
    """Remove stored things. What a later run needs of them is made again; records stay.

    With both --unused and --older-than only what meets both goes.

    Example: bench store prune --unused --leftovers
    """
    from attacks.errors import RequestError
    from bench.cli.printable import size_in_words
    from bench.storage.contents import chosen, parse_age, remove

    if older_than is None and not (unused or leftovers):
        raise RequestError("say what to remove: --unused, --older-than AGE, --leftovers, or several of them")
    contents = _contents(results_dir)
    items = chosen(contents.items, older_than=None if older_than is None else parse_age(older_than), unused=unused)
    files = contents.leftovers if leftovers else []
    size = size_in_words(sum(item.bytes for item in items) + sum(file.bytes for file in files))
    told = f"{len(items)} stored things and {len(files)} leftover files, {size}"
    if not items and not files:
        typer.echo("nothing to remove")
        return
    if needed := sum(item.users > 0 for item in items):
        told += f"; records need {needed} of them and cannot be verified without"
    if dry_run:
        typer.echo(f"would remove {told}")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise RequestError(f"this would remove {told}; say --yes to do it")
        if not typer.confirm(f"remove {told}?"):
            typer.echo("nothing is removed")
            return
    freed = remove(results_dir, items, files)
    typer.echo(f"removed {len(items)} stored things and {len(files)} leftover files; {size_in_words(freed)} freed")


@store_app.command("export")
def export_command(
    runs: Annotated[list[str], typer.Argument(help="Run hashes, their first digits, or paths of records.")],
    out: Annotated[Path, typer.Option(help="The archive to write.", metavar="FILE.zip")],
    results_dir: options.ResultsDir = Path("results"),
    debug: options.Debug = False,
) -> None:
    """Pack records with the weights and images that they need, for `bench verify --archive`.

    Example: bench store export 4ed93d6c --out run.zip
    """
    from bench.cli.printable import size_in_words
    from bench.record import find_records
    from bench.storage.needs import store_beside
    from bench.verification.archive import export_archive

    folders = find_records(runs, results_dir)
    size = export_archive([(folder, store_beside(folder, results_dir)) for folder in folders], out)
    typer.echo(f"wrote {out}: {len(folders)} record{'' if len(folders) == 1 else 's'}, {size_in_words(size)}")
    typer.echo(f"whoever gets it runs: bench verify --archive {out.name}")


def _contents(results_dir: Path) -> "Contents":
    from bench.storage.contents import read_contents

    return read_contents(results_dir)
