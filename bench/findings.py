"""What evaluating a defense found, on its way into the record."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.judge import Exhibit
from bench.outcomes import select


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """outcomes: one row an image; metrics, detector, notes: see `bench.record`; exhibits: of set II, for pictures."""

    outcomes: pd.DataFrame
    metrics: dict[str, Any]
    detector: dict[str, Any]
    notes: list[str]
    exhibits: list[Exhibit]


def attack_notes(outcomes: pd.DataFrame) -> list[str]:
    """What a reader must know of the test attack."""
    if select(outcomes, kind="adversarial")["reached"].any():
        return []
    return ["no attacked image reached the goal: rates over adversarial images say nothing of the defense"]
