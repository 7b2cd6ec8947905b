"""Loss surfaces side by side: for one image and for the mean over many, each as a surface in space and as a contour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

COLORS = "cividis"  # the same to color-blind readers and others
LEVELS = 12
ALONG, ACROSS = "a · sign ∇ loss", "b · random ±1"
HEIGHT, WIDTH, MARGIN = 2.4, 2.1, 0.5  # inches a panel, and for the color bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One surface. losses: (grid, grid) in nats, first along the gradient's sign; defense: in its title."""

    defense: str
    losses: NDArray[np.float64]


def draw_surfaces(rows: Sequence[tuple[str, Sequence[Panel]]], steps: NDArray[np.float64]) -> Figure:
    """One row for each of `rows` (its name, and a panel a defense), with one color scale.

    Args:
        rows: every one with panels of the same defenses.
        steps: (grid,) in pixel units.
    """
    count = len(rows[0][1])
    width = 2 * WIDTH * count + MARGIN
    figure = Figure(figsize=(width, HEIGHT * len(rows)))
    grid = GridSpec(
        len(rows),
        2 * count,
        figure=figure,
        width_ratios=[1.2, 1] * count,
        wspace=0.38,
        hspace=0.3,
        left=0.02,
        right=1 - (MARGIN + 0.2) / width,
        top=0.92,
        bottom=0.1,
    )
    for row, (name, panels) in enumerate(rows):
        losses = np.stack([panel.losses for panel in panels])
        levels = np.asarray(MaxNLocator(LEVELS, min_n_ticks=LEVELS // 2).tick_values(losses.min(), losses.max()))
        for column, panel in enumerate(panels):
            in_space = figure.add_subplot(grid[row, 2 * column], projection="3d")
            _surface(in_space, panel, steps, levels)
            flat = figure.add_subplot(grid[row, 2 * column + 1])
            filled = _contour(flat, panel, steps, levels)
            in_space.set_title(f"{panel.defense}, {name}", fontsize=8.5, x=0.95, y=1.02)
        bar = figure.colorbar(filled, cax=flat.inset_axes((1.07, 0, 0.06, 1)))
        bar.set_label("loss (nats)", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return figure


def _surface(axes: Any, panel: Panel, steps: NDArray[np.float64], levels: NDArray[np.float64]) -> None:
    along, across = np.meshgrid(steps, steps, indexing="ij")
    color = {"cmap": COLORS, "vmin": levels[0], "vmax": levels[-1]}
    axes.plot_surface(along, across, panel.losses, rcount=51, ccount=51, linewidth=0, antialiased=False, **color)
    axes.set_zlim(levels[0], levels[-1])
    axes.view_init(elev=28, azim=-125)
    axes.set_xlabel("a", fontsize=8, labelpad=-7)
    axes.set_ylabel("b", fontsize=8, labelpad=-7)
    axes.tick_params(labelsize=6, pad=-3)
    axes.locator_params(nbins=4)
    axes.set_box_aspect(None, zoom=1.15)


def _contour(axes: Axes, panel: Panel, steps: NDArray[np.float64], levels: NDArray[np.float64]) -> ContourSet:
    filled = axes.contourf(steps, steps, panel.losses.T, levels=levels, cmap=COLORS)
    axes.plot(0, 0, marker="+", color="#D55E00", markersize=7, markeredgewidth=1.5)
    axes.set_xlabel(f"{ALONG} (pixel units)", fontsize=7, labelpad=1)
    axes.set_ylabel(ACROSS, fontsize=7, labelpad=0)
    axes.tick_params(labelsize=6)
    axes.locator_params(nbins=5)
    axes.set_aspect("equal")
    return filled
