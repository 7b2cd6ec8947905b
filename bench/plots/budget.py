"""How far an attack must go: images that mislead the classifier and pass the detector, by the budget they need.

Source: Carlini et al. 2019, arXiv:1902.06705, section 4.3 (success over a range of budgets instead of at one). The
detector decides at 5 % false positives of clean images.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attacks.errors import RequestError
from bench.metrics.detection import passes
from bench.outcomes import select
from bench.plots.colors import COLORS
from bench.plots.exposure import Exposure, Floats
from bench.plots.legend import legend_below
from bench.record import Record
from bench.spec import ADAPTIVE, THREATS
from bench.tables.detector_runs import threat_of

WIDTH, HEIGHT, LINE = 3.5, 2.7, 0.17  # inches, of a panel and of a line of its legend
WIDTHS = (1.8, 0.7)  # points, of a detector's first attack of a threat, and of its others
LINF, L2 = "L-infinity budget ε (pixel units)", "L2 distance (pixel units)"


def passes_within(exposure: Exposure, run: Record) -> tuple[Floats, Floats]:
    """L2 distances, rising, at which one image more misleads and passes, and the share of all attacked images: (m,)."""
    rows = select(exposure.outcomes[run.run_id], kind="adversarial")
    threshold = run.number("threshold_at_5_fpr")
    passing = passes(rows, threshold)
    distances: Floats = np.sort(rows["l2"][passing].to_numpy(dtype=np.float64))
    return distances, np.arange(1, len(distances) + 1) / max(1, len(rows))


def draw_budget(exposure: Exposure) -> Figure:
    """A panel for attacks in L-infinity balls, a point a run, and one for minimum-norm attacks, a curve a run.

    Raises:
        RequestError: no run has one of the two budgets, or there are more detectors than colors.
    """
    if len(exposure.detectors) > len(COLORS):
        raise RequestError(f"one picture holds {len(COLORS)} detectors, not {len(exposure.detectors)}; name the runs")
    in_balls = [_lines_by_epsilon(each.records) for each in exposure.detectors]
    nearest = [[run for run in each.records if _budget(run) == L2] for each in exposure.detectors]
    panels = [LINF] * any(in_balls) + [L2] * any(nearest)
    if not panels:
        raise RequestError("no run has a budget of one kind; attack with cw, cw-detector, pgd or pgd-selective")
    lines = max(sum(map(len, in_balls)), sum(map(len, nearest)))
    size = (WIDTH * len(panels), HEIGHT + LINE * lines)
    figure = Figure(figsize=size, layout="constrained")
    for axes, budget in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for place, detector in enumerate(exposure.detectors):
            if budget == LINF:
                for attack, runs in in_balls[place].items():
                    _draw_points(axes, f"{detector.name}: {attack}", runs, COLORS[place])
            else:
                drawn = dict.fromkeys(THREATS, 0)
                for run in nearest[place]:
                    label = f"{detector.name}: {exposure.attacks[run.run_id]}"
                    width = WIDTHS[min(drawn[threat_of(run)], len(WIDTHS) - 1)]
                    drawn[threat_of(run)] += 1
                    _draw_curve(axes, exposure, label, run, COLORS[place], width)
        _finish(axes, budget)
    return figure


def _budget(run: Record) -> str:
    """Which budget bounds a run's images; "" for attacks that have both."""
    config = run.spec["attack_config"]
    if "epsilon" not in config:
        return L2
    return "" if "max_l2" in config else LINF


def _lines_by_epsilon(runs: Sequence[Record]) -> dict[str, list[Record]]:
    """Runs in L-infinity balls by their attack, epsilon rising."""
    lines: dict[str, list[Record]] = {}
    for run in sorted(runs, key=lambda run: run.spec["attack_config"].get("epsilon", 0)):
        if _budget(run) == LINF:
            lines.setdefault(run.spec["attack"], []).append(run)
    return lines


def _draw_points(axes: Axes, label: str, runs: Sequence[Record], color: str) -> None:
    points = [
        (run.spec["attack_config"]["epsilon"], rate.value, rate.low, rate.high)
        for run in runs
        if (rate := run.rate("success_rate_at_5_fpr")) is not None and rate.n
    ]
    if not points:
        return
    epsilons, values, low, high = np.array(points, dtype=np.float64).T
    style = _style(runs[0])
    axes.plot(epsilons, values, color=color, marker="o", markersize=3, linewidth=1.3, linestyle=style, label=label)
    axes.fill_between(epsilons, low, high, color=color, alpha=0.12, linewidth=0)


def _draw_curve(axes: Axes, exposure: Exposure, label: str, run: Record, color: str, width: float) -> None:
    distances, shares = passes_within(exposure, run)
    axes.step(
        np.r_[0.0, distances],
        np.r_[0.0, shares],
        where="post",
        color=color,
        linewidth=width,
        linestyle=_style(run),
        label=label,
    )


def _style(run: Record) -> str:
    return "--" if threat_of(run) == ADAPTIVE else "-"


def _finish(axes: Axes, budget: str) -> None:
    axes.set(ylim=(-0.02, 1.02))
    axes.set_xlim(left=0)
    axes.set_xlabel(budget, fontsize=8)
    axes.set_ylabel("misled and not flagged at 5 % FPR", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(color="0.9", linewidth=0.6)
    legend_below(axes, "solid: oblivious, dashed: adaptive")
