"""Losses over the epochs of a training, a line a way of training; thin lines are single seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from bench.plots.colors import COLORS

STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One way of training. cross_entropy, divergence: by seed, nats epoch by epoch; divergence empty without KL."""

    label: str
    cross_entropy: tuple[tuple[float, ...], ...]
    divergence: tuple[tuple[float, ...], ...]


def draw_losses(traces: Sequence[Trace]) -> Figure:
    """Two panels on logarithmic scales: cross-entropy of all, KL divergence to the prior of those that have it."""
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, trace in enumerate(traces):
        color, style = COLORS[number % len(COLORS)], STYLES[number % len(STYLES)]
        for axes, curves in ((left, trace.cross_entropy), (right, trace.divergence)):
            for seed, curve in enumerate(curves):
                epochs = range(1, len(curve) + 1)
                label = trace.label if seed == 0 and axes is left else None
                axes.plot(epochs, curve, color=color, linestyle=style, linewidth=1.2, alpha=0.85, label=label)
    for axes, title in ((left, "cross-entropy"), (right, "KL divergence to the prior")):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.set_ylabel("nats")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
    left.legend(fontsize=8, title="regularizer", title_fontsize=8)
    return figure
