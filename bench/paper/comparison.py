"""Ours beside the paper's: a number with its interval, and whether the paper's lies in it, above or below."""

from dataclasses import dataclass

from bench.metrics.over_seeds import Estimate
from bench.paper.contract import Entry

BETTER, EQUAL, WORSE, UNKNOWN = "better", "equal", "worse", "n/a"
MARKS = {BETTER: " ▲", EQUAL: " =", WORSE: " ▼"}
EXPLAINED = (
    "Δ is ours minus the paper's, in points: ▲ better, ▼ worse than the paper beyond our interval (bold), = within it"
)


def estimated(seeds: int) -> str:
    """How numbers over so many seeds are to be read."""
    return "mean over seeds with 95 % interval" if seeds > 1 else "of one seed, with Wilson's 95 % interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One number of ours and the paper's, both shares in [0, 1]; higher is better. paper: None where it has none."""

    ours: Estimate
    paper: float | None

    @property
    def verdict(self) -> str:
        """`BETTER` or `WORSE` than the paper beyond our interval, `EQUAL` within it, `UNKNOWN` without a number."""
        if self.paper is None or self.ours.low is None or self.ours.high is None:
            return UNKNOWN
        if self.paper < self.ours.low:
            return BETTER
        return WORSE if self.paper > self.ours.high else EQUAL

    def entries(self) -> tuple[Entry, Entry, Entry]:
        """Ours with its interval, the paper's, and the difference, in percent."""
        is_beyond = self.verdict in (BETTER, WORSE)
        theirs = "–" if self.paper is None else f"{100 * self.paper:.2f}"
        if self.paper is None or self.ours.value is None:
            return Entry(text=percent(self.ours)), Entry(text=theirs), Entry(text="–")
        difference = f"{100 * (self.ours.value - self.paper):+.1f}{MARKS.get(self.verdict, '')}".replace("-", "−")
        return Entry(text=percent(self.ours)), Entry(text=theirs), Entry(text=difference, bold=is_beyond)


def percent(estimate: Estimate) -> str:
    """A share: "97.5 [92.3, 99.1]"."""
    return _with_interval(estimate, scale=100, digits=1)


def decimal(estimate: Estimate, digits: int = 2) -> str:
    """Any other number: "0.86 [0.80, 0.92]", without an interval for a single seed."""
    return _with_interval(estimate, scale=1, digits=digits)


def _with_interval(estimate: Estimate, *, scale: float, digits: int) -> str:
    if estimate.value is None:
        return "n/a"
    shown = f"{scale * estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return shown
    return f"{shown} [{scale * estimate.low:.{digits}f}, {scale * estimate.high:.{digits}f}]"
