"""The embedded digits, against scikit-learn's arrays and Pillow's bilinear resizing."""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn import datasets

from bench.datasets.contract import LoadRequest
from bench.datasets.registry import load_dataset


def test_split_sizes_shapes_and_proportions() -> None:
    digits = load_dataset("digits", LoadRequest(data_dir=Path("nowhere")))
    assert (len(digits.train), len(digits.test)) == (1297, 500)
    assert digits.image_shape == (1, 28, 28)
    assert digits.family == "digits"
    assert digits.class_names == tuple("0123456789")
    assert digits.test.pixels.dtype == torch.uint8
    assert int(digits.train.pixels.max()) == 255
    everything = Counter(datasets.load_digits().target.tolist())
    for label, count in Counter(digits.test.labels.tolist()).items():
        assert abs(count - everything[label] * 500 / 1797) < 1
    assert everything == Counter(digits.train.labels.tolist()) + Counter(digits.test.labels.tolist())


def test_pixels_are_the_source_resized_and_keep_their_labels() -> None:
    source = datasets.load_digits()
    resized = np.stack(
        [
            np.asarray(Image.fromarray(image.astype(np.float32)).resize((28, 28), Image.Resampling.BILINEAR))
            for image in source.images
        ]
    )  # Pillow is the independent oracle
    expected = resized * 255 / 16
    digits = load_dataset("digits", LoadRequest(data_dir=Path("nowhere")))
    seen = set()
    for split in (digits.train, digits.test):
        for image, label in zip(split.pixels[:100, 0].numpy(), split.labels[:100].tolist(), strict=True):
            distance = np.abs(expected - image).max(axis=(1, 2))
            nearest = int(distance.argmin())
            assert distance[nearest] <= 0.51  # rounding to whole levels
            assert source.target[nearest] == label
            seen.add(nearest)
    assert len(seen) == 200  # no image is in both splits


def test_every_load_is_the_same_and_touches_no_folder(tmp_path: Path) -> None:
    request = LoadRequest(data_dir=tmp_path / "data")
    assert load_dataset("digits", request).digest == load_dataset("digits", request).digest
    assert not (tmp_path / "data").exists()
