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
CELL_INCHES = 1.25
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
    figure = Figure(figsize=(1.1 + CELL_INCHES * len(chosen), 0.5 + (CELL_INCHES + 0.45) * len(exhibits)), dpi=150)
    axes = figure.subplots(len(exhibits), len(chosen), squeeze=False)
    for row, exhibit in zip(axes, exhibits, strict=True):
        verdicts = select(outcomes, kind=exhibit.kind).set_index("sample_id")
        positions = {int(sample_id): place for place, sample_id in enumerate(exhibit.sample_ids.tolist())}
        for axis, sample_id in zip(row, chosen, strict=True):
            image = _for_display(exhibit.images[positions[sample_id]])
            axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            verdict = verdicts.loc[sample_id]
            axis.set_title(
                _caption(verdict, class_names),
                fontsize=7,
                pad=3,
                color=RIGHT if verdict["correct"] else WRONG,
            )
        row[0].set_ylabel(exhibit.kind, fontsize=9)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
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
