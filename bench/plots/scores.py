"""Histograms of what a detector says of clean, noisy and adversarial images: the log-odds of its probability."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.colors import BLUE, GREEN, SKY, VERMILION
from bench.plots.exposure import Exposure, Floats
from bench.plots.legend import legend_below
from bench.spec import ADAPTIVE, OBLIVIOUS
from bench.tables.detector_runs import DetectorRuns

BINS = 20
WIDTH, HEIGHT = 3.5, 3.9  # inches, of a panel with its legend
WIDEST = 20.0  # log-odds, beyond which a probability is 0 or 1 to nine digits
FRAME = (0.5, 99.5)  # percentiles of all images that a panel shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """One histogram. label: for the legend; log_odds: (n,); color, dashed: of its outline."""

    label: str
    log_odds: Floats
    color: str
    dashed: bool = False


def log_odds(probabilities: Floats) -> Floats:
    """ln(p / (1 - p)), at most `WIDEST` either way; (n,) in and out."""
    with np.errstate(divide="ignore"):
        odds: Floats = np.log(probabilities) - np.log1p(-probabilities)
    return odds.clip(-WIDEST, WIDEST)


def draw_scores(exposure: Exposure) -> Figure:
    """A panel a detector; of several attacks of a threat the strongest is drawn, and its legend says of how many."""
    count = len(exposure.detectors)
    columns = min(2, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[count:]:
        axes.remove()
    for axes, detector in zip(grid, exposure.detectors, strict=False):
        _panel(axes, exposure, detector)
    return figure


def _panel(axes: Axes, exposure: Exposure, detector: DetectorRuns) -> None:
    bars = _bars(exposure, detector)
    reference = detector.records[0]
    threshold = reference.number("threshold_at_5_fpr")
    lines = [0.0] if threshold is None else [0.0, float(log_odds(np.array([threshold]))[0])]
    edges = _edges([each.log_odds for each in bars], lines)
    for each in bars:
        inside = each.log_odds.clip(edges[0], edges[-1])
        shares = np.histogram(inside, bins=edges)[0] / max(1, len(inside))
        style = "--" if each.dashed else "-"
        axes.stairs(shares, edges, fill=True, color=each.color, alpha=0.12)
        axes.stairs(shares, edges, color=each.color, linewidth=1.3, linestyle=style, label=each.label)
    axes.axvline(lines[0], color="black", linewidth=0.9, label="probability 0.5")
    if threshold is not None:
        axes.axvline(lines[1], color="black", linewidth=0.9, linestyle=":", label="threshold at 5 % of clean")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_title(detector.name, fontsize=9)
    axes.set_xlabel("log-odds of being adversarial", fontsize=8)
    axes.set_ylabel("share of images", fontsize=8)
    axes.tick_params(labelsize=7)
    legend_below(axes, "n: images; the outer bars hold all beyond them")


def _bars(exposure: Exposure, detector: DetectorRuns) -> list[Bars]:
    """Clean and noisy images of the first run drawn, and the adversarial ones of the strongest of each threat."""
    oblivious, adaptive = detector.strongest(OBLIVIOUS), detector.strongest(ADAPTIVE)
    first = oblivious or adaptive
    assert first is not None
    drawn = [("clean", first, "clean", BLUE), ("noisy", first, "noisy", SKY)]
    for threat, run, color in ((OBLIVIOUS, oblivious, VERMILION), (ADAPTIVE, adaptive, GREEN)):
        if run is not None:
            drawn.append(("adversarial", run, f"{threat}: {exposure.attacks[run.run_id]}", color))
    bars = []
    for kind, run, name, color in drawn:
        odds = log_odds(exposure.probabilities(run, kind))
        others = len(detector.adaptive if run is adaptive else detector.oblivious)
        choice = f", strongest of {others}" if kind == "adversarial" and others > 1 else ""
        bars.append(Bars(label=f"{name} (n {len(odds)}{choice})", log_odds=odds, color=color, dashed=color == GREEN))
    return bars


def _edges(groups: list[Floats], lines: list[float]) -> Floats:
    """(BINS + 1,) edges that hold nearly all values and the lines."""
    values = np.concatenate([*groups])
    low, high = np.percentile(values, FRAME) if len(values) else (-1.0, 1.0)
    low, high = min(low, *lines), max(high, *lines)
    margin = max(0.05 * (high - low), 0.1)
    return np.linspace(low - margin, high + margin, BINS + 1)
