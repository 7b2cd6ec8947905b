"""Cells of a baseline with outcomes written by hand."""

from typing import Any

from bench.gate.measured import NOT_COUNTED, SUCCESS, Measured, MeasuredNumber, MeasuredRate
from bench.metrics.rates import rate

SPEC = {
    "dataset": "digits",
    "protocol": "sound",
    "seed": 0,
    "detector": None,
    "classifier": {"name": "standard", "config": {"epochs": 3}, "n_train": 1297},
    "attack_config": {"epsilon": 0.1},
}


def cell(
    rates: dict[str, str] | None = None,
    *,
    counts: dict[str, tuple[int, int]] | None = None,
    numbers: dict[str, float] | None = None,
    sample_ids: list[int] | None = None,
    ranks: dict[str, list[int | None]] | None = None,
    strengths: list[float | None] | None = None,
    **changes: Any,
) -> Measured:
    """A cell whose rates are strings of "1", "0" and "." over adversarial images, or, without outcomes, counts."""
    length = max([len(text) for text in (rates or {}).values()] + [len(strengths or [])])
    found = {
        name: MeasuredRate(rate=_rate(text), outcomes={"adversarial": text}) for name, text in (rates or {}).items()
    }
    found |= {name: MeasuredRate(rate=rate(*pair), outcomes={}) for name, pair in (counts or {}).items()}
    fields: dict[str, Any] = {
        "label": "standard · pgd",
        "run_id": "r",
        "dataset_digest": "d",
        "request": {"defense": "standard", "attack": "pgd", "options": {}},
        "spec": SPEC,
        "code": {"attack": "a", "classifier": "c"},
        "machine": {"device": "cpu", "torch": "2", "threads": "1"},
        "sample_ids": sample_ids or list(range(length)),
        "rates": found,
        "numbers": {name: MeasuredNumber(value=value, n=length) for name, value in (numbers or {}).items()},
        "ranks": ranks or {},
        "strengths": strengths or [None] * length,
    }
    return Measured(**(fields | changes))


def _rate(text: str) -> Any:
    return rate(text.count(SUCCESS), len(text) - text.count(NOT_COUNTED))
