"""ROC curves over a logarithmic false positive rate, where a detector is used.

Sources: Carlini et al. 2022, arXiv:2112.03570, section 3 (why logarithmic); the false positives are of clean images
alone, as in the rates at 1 % and 5 % of `bench.metrics.detection`: noisy images are not what a deployed detector sees.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from attacks.errors import RequestError
from bench.plots.colors import COLORS
from bench.plots.exposure import Exposure, Floats
from bench.plots.legend import legend_below
from bench.record import Record
from bench.spec import ADAPTIVE
from bench.tables.detector_runs import threat_of

GUIDES = (0.01, 0.05)  # false positive rates of the tables
LOWEST = 0.005  # of the axis, where clean images are few
WIDTH, HEIGHT, LINE = 3.5, 2.7, 0.17  # inches, of a panel and of a line of its legend
WIDEST_LINE = 2.4  # points, of the first; each further one is thinner, so that equal curves do not hide each other
DASHES = ((4, 1.5), (1, 1), (5, 1, 1, 1), (7, 2), (3, 1, 1, 1, 1, 1))  # in line widths, of adaptive attacks


def roc_points(clean: Floats, adversarial: Floats) -> tuple[Floats, Floats]:
    """(points,) false and true positive rates, both rising, of every threshold that an image must exceed.

    Args:
        clean: (n,) probabilities of clean images, at least one.
        adversarial: (m,) of adversarial ones, at least one.
    """
    labels = np.r_[np.zeros(len(clean)), np.ones(len(adversarial))]
    fpr, tpr, _ = roc_curve(labels, np.r_[clean, adversarial], drop_intermediate=False)
    return fpr, tpr


def draw_roc(exposure: Exposure) -> Figure:
    """One panel with a color a detector; a panel each, with a color an attack, where one has several of a threat.

    Raises:
        RequestError: there are not enough colors.
    """
    detectors = exposure.detectors
    is_crowded = any(max(len(each.oblivious), len(each.adaptive)) > 1 for each in detectors)
    panels = [(each,) for each in detectors] if is_crowded else [detectors]
    attacks = list(dict.fromkeys(exposure.attacks[run.run_id] for each in detectors for run in each.records))
    _require_colors(attacks if is_crowded else detectors, "attacks" if is_crowded else "detectors")
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    lines = max(sum(len(each.records) for each in panel) for panel in panels)
    figure = Figure(figsize=(WIDTH * columns, (HEIGHT + LINE * lines) * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    lowest = min([LOWEST, *(0.5 / len(clean) for clean in _clean(exposure) if len(clean))])
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, panel in zip(grid, panels, strict=False):
        for place, detector in enumerate(panel):
            for run in detector.records:
                number = attacks.index(exposure.attacks[run.run_id]) if is_crowded else place
                label = (
                    exposure.attacks[run.run_id] if is_crowded else f"{detector.name}: {exposure.attacks[run.run_id]}"
                )
                _draw(axes, exposure, run, label=label, number=number, lowest=lowest)
        _finish(axes, lowest, title=panel[0].name if is_crowded else "")
    return figure


def _require_colors(drawn: Sequence[object], what: str) -> None:
    if len(drawn) > len(COLORS):
        raise RequestError(
            f"{len(drawn)} {what} are too many for one picture, which holds {len(COLORS)}; name the runs to draw"
        )


def _clean(exposure: Exposure) -> Iterator[Floats]:
    for detector in exposure.detectors:
        for run in detector.records:
            yield exposure.probabilities(run, "clean")


def _draw(axes: Axes, exposure: Exposure, run: Record, *, label: str, number: int, lowest: float) -> None:
    clean, adversarial = exposure.probabilities(run, "clean"), exposure.probabilities(run, "adversarial")
    label = f"{label} (n {len(clean)} + {len(adversarial)})"
    color = COLORS[number % len(COLORS)]
    style = (0, DASHES[number % len(DASHES)]) if threat_of(run) == ADAPTIVE else "-"
    if not (len(clean) and len(adversarial)):
        axes.plot([], [], color=color, label=f"{label}: no curve", linestyle=style)
        return
    fpr, tpr = roc_points(clean, adversarial)
    first = np.flatnonzero(fpr == 0)[-1]  # those before it would only color the edge
    # between two points the lower one holds: a threshold cannot catch part of an image
    axes.step(
        np.maximum(fpr[first:], lowest),
        tpr[first:],
        where="post",
        color=color,
        linewidth=max(1.0, WIDEST_LINE - 0.35 * number),
        label=label,
        linestyle=style,
    )


def _finish(axes: Axes, lowest: float, *, title: str) -> None:
    chance = np.geomspace(lowest, 1, 200)
    axes.plot(chance, chance, color="0.75", linewidth=0.8, zorder=0)
    for guide in GUIDES:
        axes.axvline(guide, color="0.75", linewidth=0.8, linestyle=":", zorder=0)
    axes.set_xscale("log")
    axes.set(xlim=(lowest, 1), ylim=(-0.02, 1.02))
    axes.set_xlabel("false positive rate of clean images (left edge: 0)", fontsize=8)
    axes.set_ylabel("true positive rate", fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=7)
    legend_below(axes, "solid: oblivious, dashed: adaptive; n: clean + adversarial")
