"""What evaluating a defense found, on its way into the record."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from attacks.adaptive import AdaptiveConfig
from attacks.match import MatchConfig
from attacks.pgd_detector import FIRST_STEP, PgdDetectorConfig
from attacks.probe import Trace
from bench.judge import Exhibit
from bench.outcomes import select

ROUNDING = 1e-9  # of products of decimal fractions


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


def attack_notes(outcomes: pd.DataFrame, config: Any) -> list[str]:
    """What a reader must know of the test attack.

    Args:
        outcomes: all rows of the run.
        config: of the attack.
    """
    notes = budget_notes(config)
    is_detector = "flagged" in outcomes
    if is_detector and not select(outcomes, kind="adversarial")["reached"].any():
        notes.append("no attacked image reached the goal: rates over adversarial images say nothing of the detector")
    return notes


def budget_notes(config: Any) -> list[str]:
    """Steps that do not span the ball, or leap over it: both overstate robustness."""
    falls = isinstance(config, PgdDetectorConfig | MatchConfig | AdaptiveConfig)  # to zero, half as long on average
    if not falls and not hasattr(config, "step_size"):
        return []
    epsilon, steps, given = config.epsilon, config.steps, getattr(config, "step_size", None)
    step_size = FIRST_STEP * epsilon if given is None else given
    reach = step_size * (steps + 1) / 2 if falls else step_size * steps
    if reach < epsilon * (1 - ROUNDING):
        return [
            f"{steps} steps of {step_size:g}{', falling to zero,' if falls else ''} reach {reach:g} of epsilon "
            f"{epsilon:g}: robustness is overstated; raise --steps or --step-size"
        ]
    if step_size > 2 * epsilon * (1 + ROUNDING):
        return [
            f"a step of {step_size:g} leaps over the whole ball, {2 * epsilon:g} wide: only its corners are tried and "
            "robustness is overstated; lower --step-size"
        ]
    return []
