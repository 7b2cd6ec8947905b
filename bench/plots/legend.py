"""A legend that covers no data."""

from matplotlib.axes import Axes


def legend_below(axes: Axes, title: str) -> None:
    """The legend of a panel, below its axis labels, with a line that explains it."""
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.2),
        fontsize=7,
        frameon=False,
        handlelength=3,
        title=title,
        title_fontsize=7,
        alignment="left",
    )
