"""The command line that makes a run, and the options that a record or a file of settings gives."""

import json
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from attacks.errors import DataError, RequestError
from attacks.registration import unknown_name
from bench.options import OPTIONS, parse_list
from bench.request import Request

AUTOMATIC = "auto"  # how an option that may be None is spelled


def command_line(request: Request) -> str:
    """The command that asks for one cell: every option that was asked for, and no other.

    Example: "bench run --defense er1 --attack cw --confidence 20.0"
    """
    words = ["bench", "run"]
    for name, value in asked_for(request).items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def asked_for(request: Request) -> dict[str, Any]:
    """What a request holds beyond the defaults, by option name with underscores."""
    given = {field.name: getattr(request, field.name) for field in fields(Request) if field.name != "options"}
    defaults = {field.name: field.default for field in fields(Request)}
    asked = {name: value for name, value in given.items() if value is not None and value != defaults[name]}
    if request.model is not None:
        del asked["defense"]  # `--model` is one
    return asked | {name: AUTOMATIC if value is None else value for name, value in request.options.items()}


def settings_of_record(path: Path) -> dict[str, str | bool]:
    """The options that a record was made with, as the command line takes them; the rest as `run_of_record`."""
    asked = asked_for(run_of_record(path)[1])
    return {name: value if isinstance(value, bool) else str(value) for name, value in asked.items()}


def run_of_record(path: Path) -> tuple[str, Request]:
    """The run that a record is of, and what was asked for.

    Args:
        path: a record.json, or its folder.

    Raises:
        DataError: there is no record, or it does not say what was asked for.
    """
    file = path / "record.json" if path.is_dir() else path
    try:
        record = json.loads(file.read_text(encoding="utf-8"))["record"]
        return record["run_id"], Request(**record["request"])
    except FileNotFoundError as error:
        raise DataError(f"there is no record {file}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} does not say what was asked for: it is no record, or an older version's, whose `command` may help"
        ) from error


def settings_of_file(path: Path, known: Mapping[str, bool]) -> dict[str, str | bool]:
    """The options in a TOML file, as the command line takes them: lists become comma lists.

    Args:
        path: such as `sweep.toml`; names with dashes or underscores.
        known: by name with underscores, the options that the command takes, and whether each is a flag.

    Raises:
        RequestError: the file is missing or no TOML, or a name or a value is not an option's.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read --config {path}: {getattr(error, 'strerror', None) or error}") from error
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"--config {path} is not TOML: {error}") from error
    settings: dict[str, str | bool] = {}
    for name, value in content.items():
        option = name.replace("-", "_")
        try:
            if option in settings:
                raise RequestError(f"{name} is there twice, with a dash and with an underscore")
            settings[option] = _as_text(name, value, known)
        except RequestError as error:
            raise RequestError(f"{path}: {error}") from None
    return settings


def _as_text(name: str, value: Any, known: Mapping[str, bool]) -> str | bool:
    option = name.replace("-", "_")
    if isinstance(value, Mapping) and option not in known:
        raise RequestError(f"options stand at the top of the file; [{name}] is a table")
    if option not in known:
        raise RequestError(unknown_name("option", name, sorted(option.replace("_", "-") for option in known)))
    if known[option] != isinstance(value, bool):
        kind = "true or false" if known[option] else "a value or a list of them"
        raise RequestError(f"{name} wants {kind}, got {json.dumps(value, default=str)}")
    if isinstance(value, bool):
        return value
    values = value if isinstance(value, list) else [value]
    if not values or any(isinstance(item, bool | list | Mapping) for item in values):
        raise RequestError(f"{name} wants a value or a list of them, got {json.dumps(value, default=str)}")
    text = ",".join(str(item) for item in values)
    if option in OPTIONS:
        parse_list(option, text)  # refused here, its message names the file
    return text
