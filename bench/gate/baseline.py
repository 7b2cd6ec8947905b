"""The file that a regression gate compares with: cells as `bench.gate.measured.Measured`, in JSON with sorted keys.

One line a metric, so that a change of the file reads as a change of numbers.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attacks.errors import DataError, RequestError
from bench.canonical import full_hash, plain
from bench.files import write_atomically, write_text
from bench.gate.measured import Measured, MeasuredNumber, MeasuredRate
from bench.metrics.rates import Rate

SCHEMA = 1
DEPTH = 4  # document, cells, a cell, its groups of metrics
UPDATE = "write it anew with `bench check --update`, naming its cells with --defense, --attack, …"


def write_baseline(path: Path, cells: Iterable[Measured]) -> None:
    """Write a baseline whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    body = [plain(cell) for cell in cells]
    text = _lay_out({"schema": SCHEMA, "sha256": full_hash(body), "cells": body}) + "\n"
    write_atomically(path, lambda temporary: write_text(temporary, text))


def _lay_out(value: Any, depth: int = DEPTH) -> str:
    """JSON with sorted keys, one line a metric: broken up down to `depth`, but never a list of numbers."""
    if (
        depth == 0
        or not value
        or not (isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict)))
    ):
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    indent = " " * (DEPTH + 1 - depth)
    if isinstance(value, list):
        parts, (start, end) = [_lay_out(item, depth - 1) for item in value], "[]"
    else:
        parts = [f"{json.dumps(key)}: {_lay_out(value[key], depth - 1)}" for key in sorted(value)]
        start, end = "{}"
    return start + "\n" + ",\n".join(indent + part for part in parts) + f"\n{indent[1:]}" + end


def read_baseline(path: Path) -> tuple[Measured, ...]:
    """The cells of a baseline, as they were written.

    Raises:
        RequestError: there is no such file, or a newer version wrote it.
        DataError: it is damaged.
    """
    try:
        envelope = json.loads(path.read_text(encoding="utf-8"))
        if envelope["schema"] > SCHEMA:
            raise RequestError(
                f"the baseline {path} has schema {envelope['schema']}, this version reads up to {SCHEMA}; "
                "install a newer erbench"
            )
        if full_hash(envelope["cells"]) != envelope["sha256"]:
            raise DataError(f"the baseline {path} does not match its checksum: damaged, or edited by hand; {UPDATE}")
        return tuple(_measured_of(cell) for cell in envelope["cells"])
    except FileNotFoundError:
        raise RequestError(
            f"there is no baseline {path}; `bench check --update --baseline {path} --defense … --attack …` makes one"
        ) from None
    except OSError as error:
        raise RequestError(f"the baseline {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the baseline {path} is damaged ({type(error).__name__}: {error}); {UPDATE}") from error


def _measured_of(body: dict[str, Any]) -> Measured:
    rates = {
        name: MeasuredRate(rate=Rate(**entry["rate"]), outcomes=entry["outcomes"])
        for name, entry in body["rates"].items()
    }
    numbers = {name: MeasuredNumber(**entry) for name, entry in body["numbers"].items()}
    return Measured(**(body | {"rates": rates, "numbers": numbers}))


def chosen_cells(known: Sequence[Measured], values: Mapping[str, Sequence[Any]], baseline: Path) -> list[Measured]:
    """The cells of a baseline that options choose.

    Raises:
        RequestError: none is left; the sentence says what the baseline has instead.
    """
    kept = list(known)
    for name, wanted in values.items():
        have = [_settings(cell).get(name) for cell in kept]
        left = [cell for cell, value in zip(kept, have, strict=True) if value is None or value in wanted]
        if not left or all(value is None for value in have):
            asked, present = (", ".join(map(str, dict.fromkeys(listed))) for listed in (wanted, have))
            raise RequestError(
                f"the baseline {baseline} has no cell of {name.replace('_', ' ')} {asked}, only of {present}; "
                "compare like with like, or make another one with --update"
            )
        kept = left
    return kept


def _settings(cell: Measured) -> dict[str, Any]:
    """What a cell was made with, by the options' names: as asked for, else as the spec has it."""
    spec, detector = cell.spec, cell.spec["detector"] or {}
    parts = (detector.get("config") or {}, detector, spec["classifier"]["config"], spec["classifier"])
    settings: dict[str, Any] = {}
    for part in (*parts, spec["attack_config"], spec, cell.request["options"], cell.request):
        settings |= {name: value for name, value in part.items() if value is not None}
    return settings
