"""JSON objects compared, numbers to rounding."""

import math
from typing import Any


def differing(recorded: Any, expected: Any, *, relative: float, absolute: float) -> list[str]:
    """Names of the entries in which two JSON objects differ by more than numbers may."""
    recorded = recorded if isinstance(recorded, dict) else {}
    return [
        name
        for name in sorted(recorded.keys() | expected.keys())
        if name not in recorded
        or name not in expected
        or not _alike(recorded[name], expected[name], relative=relative, absolute=absolute)
    ]


def _alike(one: Any, other: Any, *, relative: float, absolute: float) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and not differing(one, other, relative=relative, absolute=absolute)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            _alike(a, b, relative=relative, absolute=absolute) for a, b in zip(one, other, strict=True)
        )
    if _is_number(one) and _is_number(other):
        return math.isclose(one, other, rel_tol=relative, abs_tol=absolute)
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
