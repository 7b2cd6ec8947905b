"""Embeddings in the plane: a column a network, clean points above, adversarial ones below."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

# Okabe & Ito 2008 and two more, because ten classes need ten; each class is also named at its center
CLASS_COLORS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#000000",
    "#B8A800",
    "#882255",
    "#8C8C8C",
)
PALE = "#D8D8D8"
FRAME = (0.5, 99.5)  # percentiles of the points that a panel's frame follows from
MARGIN = 0.12  # of the distance between them, on either side


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One network's points.

    clean, adversarial: (n, 2); labels: (n,) classes; centers: (classes, 2), NaN for classes without points.
    circle: radius around 0, or None.
    """

    defense: str
    clean: NDArray[np.float32]
    adversarial: NDArray[np.float32]
    labels: NDArray[np.int64]
    centers: NDArray[np.float32]
    circle: float | None


def draw_embeddings(clouds: Sequence[Cloud], class_names: Sequence[str]) -> Figure:
    """Two panels a network, each with a frame of its own; the lower ones show the upper ones' frame."""
    figure = Figure(figsize=(3.4 * len(clouds), 7.0), layout="constrained")
    panels = figure.subplots(2, len(clouds), squeeze=False)
    for column, cloud in enumerate(clouds):
        colors = [CLASS_COLORS[label % len(CLASS_COLORS)] for label in cloud.labels]
        above, below = panels[:, column]
        above.scatter(*cloud.clean.T, s=9, c=colors, linewidths=0, alpha=0.75)
        below.scatter(*cloud.clean.T, s=9, c=PALE, linewidths=0)
        below.scatter(*cloud.adversarial.T, s=13, c=colors, marker="x", linewidths=0.8)
        inner, outer = _frame(cloud.clean), _frame(np.concatenate([cloud.clean, cloud.adversarial]))
        below.add_patch(Rectangle(inner.corner, inner.side, inner.side, fill=False, linestyle=":", linewidth=0.8))
        for axes, kind, points, frame in (
            (above, "clean", cloud.clean, inner),
            (below, "under PGD", cloud.adversarial, outer),
        ):
            _finish(axes, cloud, class_names, frame)
            axes.set_title(f"{cloud.defense}, {kind}{frame.told_beyond(points)}", fontsize=9)
    figure.legend(handles=_legend(clouds), loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A square. corner: lower left; side: its length."""

    corner: tuple[float, float]
    side: float

    def told_beyond(self, points: NDArray[np.float32]) -> str:
        """How many of (n, 2) points lie outside, in brackets; empty when none does."""
        beyond = ((points < self.corner) | (points > np.asarray(self.corner) + self.side)).any(axis=1)
        return f" ({int(beyond.sum())} beyond the frame)" if beyond.any() else ""


def _frame(points: NDArray[np.float32]) -> _Frame:
    """A square that holds nearly all points."""
    low, high = np.percentile(points, FRAME, axis=0)
    half = max(1e-3, float((high - low).max())) * (0.5 + MARGIN)
    x, y = (low + high) / 2 - half
    return _Frame(corner=(float(x), float(y)), side=2 * half)


def _finish(axes: Axes, cloud: Cloud, class_names: Sequence[str], frame: _Frame) -> None:
    if cloud.circle is not None:
        axes.add_patch(Circle((0, 0), cloud.circle, fill=False, linestyle="--", linewidth=1.0, edgecolor="black"))
    for label, (x, y) in enumerate(cloud.centers):
        if np.isfinite(x):
            text = axes.text(x, y, class_names[label], fontsize=8, fontweight="bold", ha="center", va="center")
            text.set_color(CLASS_COLORS[label % len(CLASS_COLORS)])
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])
            text.set_clip_on(True)
    x, y = frame.corner
    axes.set(xlim=(x, x + frame.side), ylim=(y, y + frame.side), aspect="equal")
    axes.set_xlabel("embedding, first axis", fontsize=8)
    axes.set_ylabel("second axis", fontsize=8)
    axes.tick_params(labelsize=7)


def _legend(clouds: Sequence[Cloud]) -> list[Line2D]:
    blank = {"linestyle": "none", "color": "black"}
    handles = [
        Line2D([], [], marker="o", markersize=3, label="clean, in its class's color", **blank),  # type: ignore[arg-type]
        Line2D([], [], marker="x", markersize=4, label="adversarial, in its true class's color", **blank),  # type: ignore[arg-type]
        Line2D([], [], marker="o", markersize=3, linestyle="none", color=PALE, label="the clean ones again"),
        Line2D([], [], linestyle=":", color="black", linewidth=0.8, label="the upper panel's frame"),
    ]
    if any(cloud.circle is not None for cloud in clouds):
        handles.append(Line2D([], [], linestyle="--", color="black", linewidth=1.0, label="95 % of the prior"))
    return handles
