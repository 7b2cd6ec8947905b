"""Which test tells whether one metric of one cell changed.

- Rates with outcomes: exact McNemar on the cases that both runs counted, when these are at least half of either run's.
- Rates without (`clean_accuracy`), or of other images: independent shares, Newcombe's interval.
- AUROC, AUPR, median L2, median margin: bootstrap over images, where each run has at least `FEWEST` cases.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.gate.measured import NOT_COUNTED, SUCCESS, Measured, MeasuredRate
from bench.metrics.changes import (
    Cases,
    Floats,
    Statistic,
    bootstrap_p,
    mcnemar,
    newcombe,
    newcombe_p,
    weighted_aupr,
    weighted_auroc,
    weighted_median,
)

FEWEST = 20  # cases, below which a bootstrap's standard error means little


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A test that was made. what: in words, with its counts; p: two-sided, None where none was possible."""

    what: str
    p: float | None


def compare_rate(name: str, before: Measured, after: Measured) -> Comparison:
    """Compare a rate of two runs."""
    old, new = before.rates.get(name), after.rates.get(name)
    if old is None or new is None or not old.rate.n or not new.rate.n:
        return Comparison(what="nothing to compare", p=None)
    then, now = dict(_outcomes(before, old)), dict(_outcomes(after, new))
    both = then.keys() & now.keys()
    if both and 2 * len(both) >= max(len(then), len(now)):
        lost = sum(then[case] and not now[case] for case in both)
        won = sum(now[case] and not then[case] for case in both)
        what = f"exact McNemar on {len(both)} paired outcomes ({lost} lost, {won} won)"
        return Comparison(what=what, p=mcnemar(lost, won))
    low, high = newcombe(old.rate, new.rate)
    return Comparison(
        what=f"independent proportions, Newcombe 95 % interval of the difference [{low:+.3f}, {high:+.3f}]",
        p=newcombe_p(old.rate, new.rate),
    )


def _outcomes(cell: Measured, entry: MeasuredRate) -> Iterator[tuple[tuple[str, int], bool]]:
    for kind, text in entry.outcomes.items():
        for sample_id, sign in zip(cell.sample_ids, text, strict=True):
            if sign != NOT_COUNTED:
                yield (kind, sample_id), sign == SUCCESS


def compare_number(name: str, before: Measured, after: Measured) -> Comparison:
    """Compare a number of two runs by the images behind it."""
    old, new = before.numbers.get(name), after.numbers.get(name)
    if old is None or new is None or old.value is None or new.value is None:
        return Comparison(what="nothing to compare", p=None)
    images = sorted({*before.sample_ids, *after.sample_ids})
    place = {sample_id: index for index, sample_id in enumerate(images)}
    (first, fewest), (second, also) = _statistic(name, before, place), _statistic(name, after, place)
    if min(fewest, also) < FEWEST:
        return Comparison(what=f"too few cases for a test ({min(fewest, also)} < {FEWEST})", p=None)
    return Comparison(
        what=f"paired bootstrap over {len(images)} images",
        p=bootstrap_p(new.value - old.value, first, second, len(images)),
    )


def _statistic(name: str, cell: Measured, place: dict[int, int]) -> tuple[Statistic, int]:
    """The number as a function of the images' weights, and how many cases it rests on."""
    if name not in ("auroc", "aupr"):
        values = _known(cell, cell.strengths, place)
        return lambda weights: weighted_median(weights, values), len(values[0])
    clean, noisy, adversarial = (_known(cell, cell.ranks[kind], place) for kind in ("clean", "noisy", "adversarial"))
    benign = np.r_[clean[0], noisy[0]], np.r_[clean[1], noisy[1]]
    area = weighted_auroc if name == "auroc" else weighted_aupr

    def statistic(weights: Floats) -> Floats:
        return area(weights, benign, adversarial)

    return statistic, min(len(benign[0]), len(adversarial[0]))


def _known(cell: Measured, values: list[float | None] | list[int | None], place: dict[int, int]) -> Cases:
    pairs = [
        (value, place[sample_id]) for sample_id, value in zip(cell.sample_ids, values, strict=True) if value is not None
    ]
    return np.array([value for value, _ in pairs], dtype=np.float64), np.array([at for _, at in pairs], dtype=np.intp)
