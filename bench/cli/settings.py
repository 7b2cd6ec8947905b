"""Options that come from a file: they count as defaults, so that those on the command line go before them."""

from pathlib import Path

import typer

NOT_IN_FILES = {"config", "from_record", "dry_run", "debug", "help"}


def take_settings_of_file(ctx: typer.Context, path: Path | None) -> Path | None:
    """Take what `--config` names, before the other options are read."""
    if path is not None:
        from bench.command_line import settings_of_file

        known = {str(option.name): bool(getattr(option, "is_flag", False)) for option in ctx.command.params}
        _take(ctx, settings_of_file(path, {name: known[name] for name in known.keys() - NOT_IN_FILES}))
    return path


def take_settings_of_record(ctx: typer.Context, path: Path | None) -> Path | None:
    """Take what `--from` names, before the other options are read."""
    if path is not None:
        from bench.command_line import settings_of_record

        _take(ctx, settings_of_record(path))
    return path


def _take(ctx: typer.Context, settings: dict[str, str | bool]) -> None:
    ctx.default_map = dict(ctx.default_map or {}) | settings
