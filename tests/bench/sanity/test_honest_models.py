"""Honest networks raise no flag, neither on their run nor before the doctor."""

from pathlib import Path

import pytest

from bench.api import doctor
from bench.record import Record, load_record

Honest = tuple[Path, dict[str, Record]]


def test_the_networks_have_learned_something(honest_results: Honest) -> None:
    _, records = honest_results
    accuracies = {name: record.metrics["clean_accuracy"]["value"] for name, record in records.items()}
    assert min(accuracies.values()) > 0.7, accuracies


@pytest.mark.parametrize("name", ["standard", "madry", "er-classifier"])
def test_an_honest_network_raises_none(honest_results: Honest, name: str) -> None:
    results_dir, records = honest_results
    assert records[name].flags == []
    assert records[name].seconds["sanity"] >= 0
    (diagnosis,) = doctor(records[name].run_id, results_dir=results_dir)
    assert [verdict.flag for verdict in diagnosis.verdicts if verdict.flag] == []
    told = {verdict.status for verdict in diagnosis.verdicts}
    assert told == {"ok", "not applicable"}
    assert sum(verdict.status == "ok" for verdict in diagnosis.verdicts) >= 20
    again = load_record(results_dir / "runs" / records[name].run_id)
    assert again is not None
    assert again.flags == []
