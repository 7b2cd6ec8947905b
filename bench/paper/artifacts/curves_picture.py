"""Accuracy over the attack's budget, a line a variant, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from bench.metrics.over_seeds import Estimate
from bench.plots.colors import COLORS

MARKERS = "osD^vPX"  # so that no line is known by its color alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line. epsilons: budgets in pixel units, 0 for clean images; accuracies: shares in [0, 1], one a budget."""

    label: str
    epsilons: tuple[float, ...]
    accuracies: tuple[Estimate, ...]

    @property
    def mean_under_attack(self) -> float | None:
        """Mean accuracy over the budgets above 0; None where there is none."""
        known = [
            accuracy.value
            for epsilon, accuracy in zip(self.epsilons, self.accuracies, strict=True)
            if epsilon and accuracy.value is not None
        ]
        return sum(known) / len(known) if known else None


def draw_curves(curves: Sequence[Curve], *, title: str, legend_title: str) -> Figure:
    """One panel: accuracy in percent over epsilon; bands are 95 % intervals."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, curve in enumerate(curves):
        points = [
            (epsilon, 100 * each.value, 100 * each.low, 100 * each.high)
            for epsilon, each in zip(curve.epsilons, curve.accuracies, strict=True)
            if each.value is not None and each.low is not None and each.high is not None
        ]
        if not points:
            continue
        x, middle, low, high = zip(*points, strict=True)
        color = COLORS[number % len(COLORS)]
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(x, middle, color=color, marker=marker, markersize=5, linewidth=1.6, label=curve.label)
        axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set_xlabel("ε of PGD (pixel units; 0: clean images)")
    axes.set_ylabel("accuracy (%)")
    axes.set_ylim(-2, 102)
    axes.grid(alpha=0.3)
    axes.set_title(title, fontsize=10)
    axes.legend(title=legend_title, fontsize=8, title_fontsize=8)
    return figure
