"""A grid of a few images of a run: clean, noisy, adversarial, with what the classifier and the detector said."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from bench.files import write_atomically
from bench.judge import Exhibit
from bench.outcomes import select

COLUMNS = 8
LEFT, TOP = 0.4, 0.35  # inches, for the names of rows and the title
CELL, CAPTION, GAP = 1.25, 0.36, 0.06  # of an image, of the lines above it, and between images
WRONG, RIGHT = (
    "#b2182b",
    "#1a1a1a",
)  # readable for color-blind people, and wrong answers are marked in words too


def save_examples(
    path: Path, exhibits: list[Exhibit], outcomes: pd.DataFrame, class_names: tuple[str, ...], title: str
) -> None:
    """Draw the first images of the test set, one row a kind.

    Args:
        path: the PNG to write.
        exhibits: one a kind, of the same images in the same order.
        outcomes: their rows; images whose adversarial version reached the goal come first.
        class_names: index is the label.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    chosen = _choose(outcomes)
    columns, rows = len(chosen), len(exhibits)
    width, height = LEFT + CELL * columns, TOP + (CELL + CAPTION) * rows
    figure = Figure(figsize=(width, height), dpi=150)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))  # inches; one axes is quicker than many
    axes.set_axis_off()
    axes.text(width / 2, TOP / 2, title, fontsize=10, ha="center", va="center")
    for row, exhibit in enumerate(exhibits):
        verdicts = select(outcomes, kind=exhibit.kind).set_index("sample_id")
        positions = {int(sample_id): place for place, sample_id in enumerate(exhibit.sample_ids.tolist())}
        top = TOP + (CELL + CAPTION) * row + CAPTION
        axes.text(LEFT / 2, top + CELL / 2, exhibit.kind, fontsize=9, ha="center", va="center", rotation=90)
        for column, sample_id in enumerate(chosen):
            verdict = verdicts.loc[sample_id]
            left = LEFT + CELL * column
            axes.imshow(
                _for_display(exhibit.images[positions[sample_id]]),
                extent=(left, left + CELL - GAP, top + CELL - GAP, top),
                cmap="gray",
                vmin=0,
                vmax=1,
                interpolation="nearest",
            )
            axes.text(
                left + (CELL - GAP) / 2,
                top - GAP / 2,
                _caption(verdict, class_names),
                fontsize=7,
                ha="center",
                va="bottom",
                color=RIGHT if verdict["correct"] else WRONG,
            )
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png"))


def _choose(outcomes: pd.DataFrame) -> list[int]:
    adversarial = select(outcomes, kind="adversarial")
    ordered = adversarial.sort_values("reached", ascending=False, kind="stable")
    return [int(sample_id) for sample_id in ordered["sample_id"].head(COLUMNS)]


def _caption(verdict: Any, class_names: tuple[str, ...]) -> str:
    predicted = class_names[int(verdict["prediction"])][:14]
    text = predicted if verdict["correct"] else f"{predicted} (wrong)"
    if "flagged" in verdict:
        text += "\nflagged" if verdict["flagged"] else "\naccepted"
    if verdict["l2"] > 0:
        text += f", L2 {verdict['l2']:.2f}"
    return text


def _for_display(image: Tensor) -> "np.ndarray[Any, Any]":
    pixels: np.ndarray[Any, Any] = image.detach().cpu().permute(1, 2, 0).numpy()
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
