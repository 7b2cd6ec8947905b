"""What a check found, for programs: JSON, JUnit's XML, and the workflow commands of GitHub Actions."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from bench.cli.check_text import as_text, change_line, how_to_update, summary, why
from bench.gate.check import CellCheck, Check
from bench.gate.measured import MeasuredNumber, MeasuredRate
from bench.gate.verdicts import IMPROVED, Change

# what XML 1.0 cannot hold, escaped or not
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(check: Check) -> str:
    """Everything: cells, metrics then and now with n and interval, tests, verdicts."""
    cells = [
        {"label": cell.label, "run_id": cell.run_id, "status": cell.status, "message": cell.message}
        | {"seconds": cell.seconds, "fails": cell.fails}
        | {"code_changed": list(cell.code_changed), "machine_changed": list(cell.machine_changed)}
        | {"metrics": [_plain_change(change) for change in cell.changes]}
        for cell in check.cells
    ]
    body = {
        "schema": 1,
        "baseline": check.baseline,
        "level": check.level,
        "tolerance": check.tolerance,
        "fails": check.fails,
        "updated": check.updated,
        "summary": summary(check),
        "notes": list(check.notes),
        "cells": cells,
    }
    return json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)


def _plain_change(change: Change) -> dict[str, Any]:
    return {
        "metric": change.metric,
        "before": _plain_entry(change.before),
        "after": _plain_entry(change.after),
        "difference": change.difference,
        "test": change.test,
        "p_holm": change.p,
        "verdict": change.verdict,
        "decided_by": change.decided_by,
        "fails": change.fails,
    }


def _plain_entry(entry: MeasuredRate | MeasuredNumber | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return asdict(entry.rate if isinstance(entry, MeasuredRate) else entry)


def as_junit(check: Check) -> str:
    """One test suite a cell, one test case a metric; a cell's time is shared among its metrics."""
    root = ElementTree.Element("testsuites", name="bench check")
    for cell in check.cells:
        if cell.status == "done":
            share = cell.seconds / max(1, len(cell.changes))
            failures = {change.title: "" if check.updated else _failure(cell, change) for change in cell.changes}
        else:
            share, failures = cell.seconds, {"run": f"no numbers ({cell.status}): {why(cell)}"}
        broken = [message for message in failures.values() if message]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            _clean(
                {
                    "name": cell.label,
                    "tests": len(failures),
                    "failures": len(broken),
                    "errors": 0,
                    "skipped": 0,
                    "time": f"{cell.seconds:.3f}",
                }
            ),
        )
        for title, message in failures.items():
            attributes = {"classname": cell.label, "name": title, "time": f"{share:.3f}"}
            case = ElementTree.SubElement(suite, "testcase", _clean(attributes))
            if message:
                failure = ElementTree.SubElement(case, "failure", _clean({"message": message, "type": "regression"}))
                failure.text = NOT_XML.sub("", cell.message) or None
    for total in ("tests", "failures"):
        root.set(total, str(sum(int(suite.get(total, 0)) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _clean(attributes: Mapping[str, object]) -> dict[str, str]:
    return {name: NOT_XML.sub("", str(value)) for name, value in attributes.items()}


def _failure(cell: CellCheck, change: Change) -> str:
    return change_line(cell, change) if change.fails else ""


def as_github(check: Check) -> str:
    """`::error` for each metric that closes the gate and each cell without numbers, `::notice` for the rest."""
    lines = []
    for cell in check.cells:
        if cell.status != "done":
            lines.append(_command("error", cell.label, f"no numbers ({cell.status}): {why(cell)}"))
        for change in cell.changes:
            if change.fails and not check.updated:
                lines.append(_command("error", f"{cell.label}: {change.title}", change_line(cell, change)))
            elif change.verdict == IMPROVED or (change.fails and check.updated):
                lines.append(_command("notice", f"{cell.label}: {change.title}", change_line(cell, change)))
    ending = [*check.notes, *how_to_update(check)]
    lines += [_command("notice", "bench check", text) for text in (summary(check), *ending)]
    return "\n".join(lines)


def _command(kind: str, title: str, message: str) -> str:
    """A workflow command, escaped as the runner unescapes it (actions/toolkit, command.ts)."""
    data = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    name = title.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={name}::{data}"


FORMATS: Mapping[str, Callable[[Check], str]] = {
    "text": as_text,
    "json": as_json,
    "junit": as_junit,
    "github": as_github,
}
