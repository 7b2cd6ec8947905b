"""Image folders: one clear line for whatever does not fit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attacks.errors import DataError, RequestError
from bench.datasets.contract import Dataset, LoadRequest
from bench.datasets.registry import load_dataset

Writer = Callable[..., np.ndarray]
Fill = Callable[..., Path]


def load(path: Path, **options: int | None) -> Dataset:
    return load_dataset(f"folder:{path}", LoadRequest(data_dir=Path("nowhere"), **options))


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((40, 40, 3), {}, r"gives 40x40 images, for which there are no networks: add --image-size 28"),
        ((28, 28, 3), {}, r"28x28 images with 3 channels.*--image-size 28 --channels 1 \(mnist\)"),
        ((32, 32), {}, r"32x32 images with 1 channel, .*--image-size 32 --channels 3 \(cifar10\)"),
        ((32, 32, 3), {"image_size": 50}, r"50x50 images.*or --image-size 96 --channels 3 \(stl10\)"),
        ((32, 32, 3), {"image_size": 28, "channels": 3}, r"28x28 images with 3 channels"),
        ((28, 28), {"channels": 2}, r"--channels is 1 \(gray\) or 3 \(colour\), not 2"),
        ((28, 28), {"image_size": -1}, r"no networks"),
    ],
)
def test_a_shape_without_networks_says_what_to_add(
    shape: tuple[int, ...], options: dict[str, int], words: str, fill: Fill
) -> None:
    with pytest.raises(RequestError, match=words) as raised:
        load(fill(shape), **options)
    assert "\n" not in str(raised.value)


def test_images_of_several_sizes_need_an_image_size(fill: Fill, write_image: Writer) -> None:
    root = fill((32, 32, 3))
    write_image(root / "train" / "dog" / "1.png", (32, 48, 3))
    with pytest.raises(RequestError, match=r"1\.png has 48x32 pixels where 32x32 are expected: add --image-size 32"):
        load(root)
    assert load(root, image_size=32).image_shape == (3, 32, 32)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*absent: folder:PATH wants PATH/train/CLASS"):
        load(tmp_path / "absent")


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_missing_split_is_named(part: str, fill: Fill) -> None:
    root = fill()
    (root / part).rename(root / "other")
    with pytest.raises(DataError, match=f"has no folder '{part}'"):
        load(root)


def test_one_class_is_not_enough(tmp_path: Path, write_image: Writer) -> None:
    for part in ("train", "test"):
        write_image(tmp_path / part / "cat" / "0.png", (28, 28))
    with pytest.raises(DataError, match=r"train has 1 class folder \(cat\): a classifier needs at least two"):
        load(tmp_path)


def test_images_without_class_folders_are_no_dataset(tmp_path: Path, write_image: Writer) -> None:
    for part in ("train", "test"):
        write_image(tmp_path / part / "0.png", (28, 28))
    with pytest.raises(DataError, match=r"train has 0 class folders: a classifier needs at least two"):
        load(tmp_path)


def test_classes_that_differ_are_named(fill: Fill, write_image: Writer) -> None:
    root = fill()
    write_image(root / "train" / "horse" / "0.png", (28, 28))
    write_image(root / "test" / "ship" / "0.png", (28, 28))
    with pytest.raises(DataError, match=r"different classes \(only in train: horse; only in test: ship\)"):
        load(root)


def test_an_empty_class_is_named(fill: Fill) -> None:
    root = fill()
    for path in (root / "test" / "dog").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"the class 'dog' has no images in .*test/dog"):
        load(root)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an image"),
        (b"just text", "not an image"),
        ("truncated", "truncated"),
    ],
)
def test_a_corrupt_image_is_named(content: bytes | str, words: str, fill: Fill) -> None:
    root = fill((32, 32, 3), suffix="jpg")
    image = root / "test" / "cat" / "1.jpg"
    image.write_bytes(image.read_bytes()[:-400] if isinstance(content, str) else content)
    with pytest.raises(DataError, match=rf"cannot read the image .*test/cat/1\.jpg: .*{words}") as raised:
        load(root)
    assert "\n" not in str(raised.value)


def test_more_than_eight_bits_are_refused_not_clipped(fill: Fill) -> None:
    root = fill()
    deep = np.full((28, 28), 40_000, dtype=np.uint16)
    Image.fromarray(deep).save(root / "train" / "cat" / "0.png")
    with pytest.raises(DataError, match=r"cat/0\.png: it has more than 8 bits a channel; convert it to 8"):
        load(root)
