"""Image folders: what is read and what is converted, beside Pillow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.datasets.contract import Dataset, LoadRequest
from bench.datasets.registry import load_dataset

Writer = Callable[..., np.ndarray]
Fill = Callable[..., Path]


def load(path: Path, **options: int | None) -> Dataset:
    return load_dataset(f"folder:{path}", LoadRequest(data_dir=Path("nowhere"), **options))


@pytest.mark.parametrize(
    ("shape", "family"),
    [((28, 28), "mnist"), ((32, 32, 3), "cifar10"), ((96, 96, 3), "stl10"), ((64, 64, 3), "tiny-imagenet")],
)
def test_the_image_shape_gives_the_family(shape: tuple[int, ...], family: str, fill: Fill) -> None:
    folder = load(fill(shape))
    assert folder.family == family
    assert folder.train.pixels.shape[1:] == (shape[2] if len(shape) == 3 else 1, *shape[:2])
    assert folder.class_names == ("cat", "dog")
    assert folder.train.labels.tolist() == [0, 0, 1, 1]
    assert folder.train.labels.dtype == torch.int64


def test_the_name_is_the_path_as_given(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill()
    monkeypatch.chdir(root.parent)
    monkeypatch.setenv("HOME", str(root.parent))
    assert load(Path(root.name)).name == f"folder:{root.name}"
    assert load(Path("~", root.name)).name == f"folder:~/{root.name}"


def test_pixels_are_exact_and_in_order_over_many_files(tmp_path: Path, write_image: Writer) -> None:
    written = {}
    for part in ("train", "test"):
        for label in ("b", "a"):
            for number in range(300):  # more than one task's worth
                path = tmp_path / part / label / f"{number:03}.png"
                written[path] = write_image(path, (28, 28))
    folder = load(tmp_path)
    expected = np.stack([written[path] for path in sorted(written) if path.parts[-3] == "train"])
    assert np.array_equal(folder.train.pixels[:, 0].numpy(), expected)


def test_val_stands_in_for_test(fill: Fill, write_image: Writer) -> None:
    root = fill(test="val")
    assert len(load(root).test) == 4
    for label in ("cat", "dog"):
        write_image(root / "test" / label / "only.png", (28, 28))
    assert len(load(root).test) == 2  # where both are, test is test


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPEG", "PNG", "bmp", "gif", "pgm", "tiff", "webp"])
def test_every_usual_format_is_read(suffix: str, fill: Fill) -> None:
    root = fill(suffix=suffix)
    folder = load(root, channels=1)
    with Image.open(root / "train" / "dog" / f"1.{suffix}") as image:
        assert np.array_equal(folder.train.pixels[3, 0].numpy(), np.asarray(image.convert("L")))


def test_stray_files_and_folders_change_nothing(fill: Fill) -> None:
    root = fill()
    clean = load(root).digest
    for folder in (root, root / "train", root / "train" / "cat", root / "test" / "dog"):
        for name in (".DS_Store", "Thumbs.db", "._0.png", "notes.txt", "png"):
            (folder / name).write_bytes(b"stray")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "train" / "cat" / ".thumbnails").mkdir()
    (root / "train" / "cat" / ".thumbnails" / "0.png").write_bytes(b"stray")
    assert load(root).digest == clean


def test_gray_images_among_coloured_ones_become_coloured(fill: Fill, write_image: Writer) -> None:
    root = fill((32, 32, 3))
    gray = write_image(root / "train" / "cat" / "0.png", (32, 32))
    folder = load(root)
    assert folder.image_shape == (3, 32, 32)
    assert all(np.array_equal(folder.train.pixels[0, channel].numpy(), gray) for channel in range(3))


def test_colour_in_one_split_alone_colours_both(fill: Fill, write_image: Writer) -> None:
    root = fill((32, 32))
    write_image(root / "test" / "dog" / "0.png", (32, 32, 3))
    folder = load(root)
    assert folder.train.pixels.shape == (4, 3, 32, 32)
    assert folder.test.pixels.shape == (4, 3, 32, 32)


def test_size_and_channels_are_converted_as_pillow_does(fill: Fill) -> None:
    root = fill((50, 70, 3))
    folder = load(root, image_size=28, channels=1)
    assert folder.family == "mnist"
    with Image.open(root / "test" / "cat" / "1.png") as image:
        expected = np.asarray(image.convert("L").resize((28, 28), Image.Resampling.BILINEAR))
    assert np.array_equal(folder.test.pixels[1, 0].numpy(), expected)
    assert load(root, image_size=96).image_shape == (3, 96, 96)


def test_large_jpegs_shrink_to_nearly_the_same(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 400)
    smooth = np.stack([np.tile(ramp, (400, 1)), np.tile(ramp[:, None], (1, 400)), np.full((400, 400), 90)], 2)
    for part in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / part / label).mkdir(parents=True)
            Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / part / label / "0.jpg", quality=95)
    found = load(tmp_path, image_size=32).train.pixels[0].numpy().astype(int)
    whole = Image.fromarray(smooth.astype(np.uint8)).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(found - np.asarray(whole).transpose(2, 0, 1)).max() <= 6


def test_transparency_and_palettes_are_flattened(fill: Fill, write_image: Writer) -> None:
    root = fill((32, 32, 3))
    array = write_image(root / "train" / "cat" / "0.png", (32, 32, 4))
    Image.fromarray(array[..., :3]).quantize(16).save(root / "train" / "cat" / "1.png")
    with Image.open(root / "train" / "cat" / "1.png") as image:
        palette = np.asarray(image.convert("RGB"))
    folder = load(root)
    assert np.array_equal(folder.train.pixels[0].numpy(), array[..., :3].transpose(2, 0, 1))
    assert np.array_equal(folder.train.pixels[1].numpy(), palette.transpose(2, 0, 1))
