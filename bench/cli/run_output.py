"""What `bench run` prints: one table for all cells, notes, verdicts, and where the files lie."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.record import Record
from bench.tables.differences import name_apart
from bench.tables.metrics_table import metrics_table

COLUMN_WIDTH = 30  # "100.0 % [98.1, 100.0] n=10000" and its padding
TITLE_WIDTH = 28
COUNTS = {"search_steps": "searches", "steps": "steps", "queries": "queries", "restarts": "restarts"}


def show_grid(records: Sequence[Record], results_dir: Path) -> int:
    """Print the records as a table, with notes and verdicts; return the exit code: 1 when a cell gave no numbers."""
    console = Console(highlight=False)
    done = [record for record in records if record.status == "done"]
    failed = [record for record in records if record.status != "done"]
    if done:
        _print_tables(console, done)
        _print_notes(console, done, results_dir)
    for record in failed:
        first_line = record.message.strip().splitlines()[-1] if record.message else record.status
        console.print(
            f"[bold]{escape(record.label)}[/bold]: no numbers ({record.status}): {escape(first_line)}",
            soft_wrap=not console.is_terminal,  # a terminal would break words
        )
    return 1 if failed else 0


def _print_tables(console: Console, records: Sequence[Record]) -> None:
    per_table = max(1, (console.width - TITLE_WIDTH) // COLUMN_WIDTH)
    names = _names(records)
    for start in range(0, len(records), per_table):
        part = records[start : start + per_table]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("")
        for record in part:
            table.add_column(_head(record, names[record.run_id]), justify="right")
        for row in metrics_table(part):
            table.add_row(*row)
        console.print(table)


def _names(records: Sequence[Record]) -> dict[str, str]:
    """A name for each run that no other run of the output has."""
    names = name_apart([record.label for record in records], [record.spec for record in records])
    return {record.run_id: name for record, name in zip(records, names, strict=True)}


def _head(record: Record, name: str) -> str:
    """What was run, in a few short lines: name, budget, training attack, data and training."""
    spec, detector = record.spec, record.spec["detector"]
    lines = [name, _budget(spec)]
    lines += [f"trained on {detector['train_attack']}"] if detector else []
    settings = [spec["dataset"], spec["protocol"], spec["recipe"]]
    lines.append(", ".join(setting for setting in settings if setting != "none"))  # a user's model has no recipe
    return "\n".join(line for line in lines if line)


def _budget(spec: Mapping[str, Any]) -> str:
    """The test attack's budget as far as its name does not tell it: "ε=0.3, 40 steps, bfloat16"."""
    config = spec["attack_config"]
    parts = [f"ε={config['epsilon']:g}"] if "epsilon" in config else []
    for option, unit in COUNTS.items():
        if config.get(option, 1) != 1:
            parts.append(f"{config[option]} {unit}")
    parts += [spec["precision"]] if spec["precision"] != "float32" else []
    return ", ".join(parts)


def _print_notes(console: Console, records: Sequence[Record], results_dir: Path) -> None:
    console.print("rates: value, Wilson 95 % interval, n", style="dim")
    names = _names(records)
    for record in records:
        for note in [*record.notes, *_embedding_note(record)]:
            text = f"note ({escape(names[record.run_id])}): {escape(note)}"
            console.print(text, style="dim", soft_wrap=not console.is_terminal)
        for flag in record.flags:
            told = f"{flag['sentence']}. {flag['advice']}"
            text = f"(!) flag {escape(flag['name'])} ({escape(names[record.run_id])}): {escape(told)}"
            console.print(text, soft_wrap=not console.is_terminal)
    for record in records:
        console.print(f"{results_dir / 'runs' / record.run_id}", soft_wrap=True)


def _embedding_note(record: Record) -> list[str]:
    embedding = record.metrics.get("embedding")
    if not embedding or "squared_mmd_unregularized" not in embedding:
        return []
    return [
        f"embedding to {embedding['prior']} prior: squared MMD {embedding['squared_mmd']:.3f} "
        f"(unregularized {embedding['squared_mmd_unregularized']:.3f}), std {embedding['std']:.2f} "
        f"({embedding['std_unregularized']:.2f})"
    ]
