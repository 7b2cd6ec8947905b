"""Do recorded rows and metrics agree with those judged anew, to the rounding that another machine may show?

What is exact stays exact: which images, their labels and goals. Logits, and all that follows from them, may differ by
the rounding of float32 sums; a verdict may differ only where its number lies that close to its threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from attacks.errors import DataError
from bench.judge import FLAG_FROM, MARGIN_ROUNDING, PIXEL_ROUNDING
from bench.outcomes import KINDS, ROLES
from bench.verification.stored_studio import DisagreementError

SCORE_ROUNDING = 1e-3  # of a detector's scores and probability
RELATIVE_ROUNDING = 1e-5  # of numbers larger than 1
KEYS = ("role", "kind", "sample_id")
TOLERANCES = {"margin": MARGIN_ROUNDING, "l2": PIXEL_ROUNDING, "linf": PIXEL_ROUNDING, "probability": SCORE_ROUNDING}
VERDICTS = ("prediction", "correct", "reached", "flagged", "judged")
MOST_NAMED = 10  # rows

Mask = NDArray[np.bool_]
Gaps = Callable[[Mask], NDArray[np.float64]]
"""(rows,) bool -> for these rows, how far the largest logit lies above the second, in logit units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAgreement:
    """How recorded rows compare with those judged anew.

    rows: how many there are; agreed: of these; rounded: of the agreed ones, verdicts that differ within rounding.
    problems: one line a row that disagrees, the first ten.
    """

    rows: int
    agreed: int
    rounded: int
    problems: list[str]


def compare_rows(recorded: pd.DataFrame, judged: pd.DataFrame, config: Any, gaps: Gaps) -> RowAgreement:
    """Compare row by row.

    Args:
        recorded: as the record has them; see `bench.outcomes`.
        judged: anew, in the order of the protocol.
        config: of the test attack, for its confidence and L2 limit.
        gaps: asked only for rows whose predictions differ.

    Raises:
        DataError: the recorded table lacks columns.
        DisagreementError: it is not of the same images, or has columns of its own.
    """
    _require_same_rows(recorded, judged)
    wrong = {}
    for name in judged.columns:
        if name in TOLERANCES or name.startswith("score_"):
            wrong[name] = ~_close(recorded[name], judged[name], TOLERANCES.get(name, SCORE_ROUNDING))
        elif name not in (*KEYS, *VERDICTS):
            wrong[name] = _other(recorded[name], judged[name])
    verdicts = [name for name in VERDICTS if name in judged.columns]
    differs = {name: (recorded[name] != judged[name]).to_numpy() for name in verdicts}
    moved = differs["prediction"]
    near = {"prediction": np.zeros(len(judged), dtype=np.bool_), "reached": _near_goal(judged, config)}
    near["prediction"][moved] = gaps(moved) < MARGIN_ROUNDING
    # everything a detector says is of the predicted class
    swapped = near["prediction"]
    near["correct"], near["judged"] = swapped, near["reached"]
    if "probability" in judged:
        near["flagged"] = swapped | (np.abs(judged["probability"].to_numpy() - FLAG_FROM) < SCORE_ROUNDING)
    for name in wrong:
        if name == "probability" or name.startswith("score_"):
            wrong[name] &= ~swapped
    for name in verdicts:
        wrong[name] = differs[name] & ~near[name]
    wrong["correct"] |= ((recorded["prediction"] == recorded["label"]) != recorded["correct"]).to_numpy()
    is_wrong = np.logical_or.reduce(list(wrong.values()))
    is_rounded = np.logical_or.reduce(list(differs.values())) & ~is_wrong
    return RowAgreement(
        rows=len(judged),
        agreed=int((~is_wrong).sum()),
        rounded=int(is_rounded.sum()),
        problems=_told(recorded, judged, wrong, is_wrong),
    )


def _require_same_rows(recorded: pd.DataFrame, judged: pd.DataFrame) -> None:
    if missing := sorted(set(judged.columns) - set(recorded.columns)):
        raise DataError(
            f"outcomes.parquet lacks {', '.join(missing)}, as those of older versions do; remove the record and run it "
            "again"
        )
    if unknown := sorted(set(recorded.columns) - set(judged.columns)):
        raise DisagreementError(f"outcomes.parquet has columns that do not follow from images: {', '.join(unknown)}")
    if len(recorded) != len(judged):
        raise DisagreementError(f"outcomes.parquet has {len(recorded)} rows, the protocol gives {len(judged)}")
    for name in judged.columns:
        is_number = is_numeric_dtype(judged[name].dtype)  # bool is one, too; text has several types
        if is_number and recorded[name].dtype != judged[name].dtype:
            raise DisagreementError(
                f"outcomes.parquet holds {recorded[name].dtype} in '{name}' where {judged[name].dtype} belongs"
            )
    if not (recorded["role"].isin(ROLES).all() and recorded["kind"].isin(KINDS).all()):
        raise DisagreementError("outcomes.parquet has rows of an unknown role or kind")
    for name in KEYS:
        other_rows = np.flatnonzero(_other(recorded[name], judged[name]))
        if len(other_rows):
            raise DisagreementError(
                f"outcomes.parquet is not of the images that the protocol chooses: row {other_rows[0]} has "
                f"{name.replace('_', ' ')} {recorded[name].iloc[other_rows[0]]} instead of "
                f"{judged[name].iloc[other_rows[0]]}"
            )


def _other(recorded: pd.Series, judged: pd.Series) -> Mask:
    other: Mask = recorded.to_numpy(dtype=object) != judged.to_numpy(dtype=object)
    return other


def _close(recorded: pd.Series, judged: pd.Series, tolerance: float) -> Mask:
    one, other = recorded.to_numpy(dtype=np.float64), judged.to_numpy(dtype=np.float64)
    close: Mask = np.isclose(one, other, rtol=RELATIVE_ROUNDING, atol=tolerance, equal_nan=True)
    return close


def _near_goal(judged: pd.DataFrame, config: Any) -> Mask:
    """Where rounding alone may decide whether an attacked image reached its goal."""
    threshold = max(0.0, getattr(config, "confidence", 0.0) - MARGIN_ROUNDING)
    near: Mask = (judged["margin"] - threshold).abs().to_numpy() < MARGIN_ROUNDING  # NaN, of other kinds, is not
    max_l2 = getattr(config, "max_l2", None)
    if max_l2 is not None:
        near |= (judged["l2"] - max_l2).abs().to_numpy() < 2 * PIXEL_ROUNDING
    return near


def _told(recorded: pd.DataFrame, judged: pd.DataFrame, wrong: dict[str, Mask], is_wrong: Mask) -> list[str]:
    # adversarial images first: the noisy ones' noise follows from them
    places = sorted(np.flatnonzero(is_wrong), key=lambda place: str(judged["kind"].iloc[place]))
    lines = []
    for place in places[:MOST_NAMED]:
        row, own = recorded.iloc[place], judged.iloc[place]
        parts = [f"{name} {_shown(own[name])}, recorded {_shown(row[name])}" for name in wrong if wrong[name][place]]
        lines.append(f"image {own['sample_id']} ({own['role']}, {own['kind']}): {'; '.join(parts)}")
    if len(places) > MOST_NAMED:
        lines.append(f"and {len(places) - MOST_NAMED} more outcomes")
    return lines


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
