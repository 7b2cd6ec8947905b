"""The grid of examples: an image file whose cells are found by their pixels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from bench.judge import Exhibit
from bench.pictures import _caption, _choose, save_examples


def exhibit(kind: str, channels: int, count: int) -> Exhibit:
    images = torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(count) + 10
    return Exhibit(role="test", kind=kind, sample_ids=ids, labels=ids % 3, images=images, clean=images)


def rows(kinds: tuple[str, ...], count: int) -> pd.DataFrame:
    frames = [
        pd.DataFrame(
            {
                "sample_id": np.arange(count) + 10,
                "role": "test",
                "kind": kind,
                "prediction": 1,
                "correct": kind != "adversarial",
                "reached": (np.arange(count) == count - 1) & (kind == "adversarial"),
                "l2": 0.0 if kind == "clean" else 1.25,
                "flagged": kind == "adversarial",
            }
        )
        for kind in kinds
    ]
    return pd.concat(frames, ignore_index=True)


def size_of(folder: Path, kinds: tuple[str, ...], count: int, channels: int = 1) -> tuple[int, int]:
    path = folder / "examples.png"
    exhibits = [exhibit(kind, channels, count) for kind in kinds]
    save_examples(path, exhibits, rows(kinds, count), ("a", "b", "c"), "a title")
    assert [item.name for item in folder.iterdir()] == ["examples.png"]
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        return image.size


@pytest.mark.parametrize("channels", [1, 3])
def test_one_row_a_kind_and_at_most_eight_columns(tmp_path: Path, channels: int) -> None:
    kinds = ("clean", "noisy", "adversarial")
    wide, tall = size_of(tmp_path, kinds, 8, channels)
    narrow, short = size_of(tmp_path, kinds[::2], 3, channels)
    assert wide > narrow
    assert tall / short == pytest.approx((0.35 + 3 * 1.61) / (0.35 + 2 * 1.61), rel=0.02)  # rows of 1.61 inches
    assert size_of(tmp_path, kinds, 20, channels) == (wide, tall)


def test_images_that_reached_the_goal_come_first() -> None:
    assert _choose(rows(("clean", "adversarial"), 20)) == [29, 10, 11, 12, 13, 14, 15, 16]


def test_captions_say_what_was_decided() -> None:
    table = rows(("clean", "adversarial"), 1)
    assert _caption(table.loc[0], ("a", "b", "c")) == "b\naccepted"
    assert _caption(table.loc[1], ("a", "b", "c")) == "b (wrong)\nflagged, L2 1.25"
