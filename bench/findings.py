"""What evaluating a defense found, on its way into the record."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from attacks.probe import Trace
from bench.judge import Exhibit
from bench.outcomes import select


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What goes into the record, and what is left beside it.

    outcomes: one row an image; metrics, detector, notes: see `bench.record`.
    exhibits: of set II, clean, noisy (for detectors) and adversarial; fit_exhibits: of set I.
    stored: keys of the detector and of the crafted chunks, see `bench.record`.
    trace: loss and margin of the test attack's steps, when they are kept.
    """

    outcomes: pd.DataFrame
    metrics: dict[str, Any]
    detector: dict[str, Any]
    notes: list[str]
    exhibits: list[Exhibit]
    stored: dict[str, Any]
    fit_exhibits: list[Exhibit] = field(default_factory=list)
    trace: Trace | None = None


def attack_notes(outcomes: pd.DataFrame) -> list[str]:
    """What a reader must know of the test attack."""
    if select(outcomes, kind="adversarial")["reached"].any():
        return []
    return ["no attacked image reached the goal: rates over adversarial images say nothing of the defense"]
