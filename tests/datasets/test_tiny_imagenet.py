"""Tiny ImageNet on a sample of the real archive and on small copies of its layout."""

import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from local_server import LocalServer
from PIL import Image

from attacks.errors import DataError
from bench.datasets import tiny_imagenet
from bench.datasets.contract import LoadRequest
from bench.datasets.registry import load_dataset

CLASSES = {"n02": "tabby, tabby cat", "n01": "goldfish, Carassius auratus"}  # wnids.txt is not sorted
TRAIN = 3


@pytest.fixture
def data_dir(tmp_path: Path, write_image: Callable[..., np.ndarray]) -> Path:
    """Two classes of three training images, four validation images, one of them gray, and stray files."""
    root = tmp_path / "data" / "tiny-imagenet-200"
    for wnid in CLASSES:
        names = [f"{wnid}_{number}.JPEG" for number in range(TRAIN)]
        for name in names:
            write_image(root / "train" / wnid / "images" / name, (64, 64, 3))
        boxes = "".join(f"{name}\t0\t0\t63\t63\n" for name in names)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text(boxes)
    for number in range(4):
        shape = (64, 64) if number == 2 else (64, 64, 3)
        write_image(root / "val" / "images" / f"val_{number}.JPEG", shape)
    rows = [f"val_{number}.JPEG\t{wnid}\t0\t0\t9\t9" for number, wnid in enumerate(["n01", "n02", "n01", "n01"])]
    (root / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    (root / "wnids.txt").write_text("\n".join(CLASSES) + "\n")
    words = "".join(f"{wnid}\t{words}\n" for wnid, words in {**CLASSES, "n99": "unused"}.items())
    (root / "words.txt").write_text(words)
    return tmp_path / "data"


@pytest.fixture
def archive(data_dir: Path, tmp_path: Path, md5_of: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The small layout as a zip whose checksum is taken for the official one."""
    path = shutil.make_archive(str(tmp_path / "packed"), "zip", data_dir)
    monkeypatch.setattr(tiny_imagenet, "MD5", md5_of(Path(path)))
    return Path(path).read_bytes()


def load(data_dir: Path, **options: bool) -> object:
    return load_dataset("tiny-imagenet", LoadRequest(data_dir=data_dir, **options))


def test_the_sample_of_the_real_archive(shared_data: Path, tmp_path: Path) -> None:
    with ZipFile(shared_data / "tiny-imagenet-10.zip") as sample:
        sample.extractall(tmp_path)
    root = tmp_path / "tiny-imagenet-200"
    tiny = load_dataset("tiny-imagenet", LoadRequest(data_dir=tmp_path))
    assert tiny.train.pixels.shape == (1000, 3, 64, 64)
    assert tiny.test.pixels.shape == (500, 3, 64, 64)
    assert tiny.family == "tiny-imagenet"
    assert tiny.train.labels.bincount().tolist() == [100] * 10
    assert tiny.class_names[:2] == ("standard poodle", "tabby")
    first, wnid = (root / "val" / "val_annotations.txt").read_text().split("\t")[:2]
    assert (root / "wnids.txt").read_text().split()[tiny.test.labels[0]] == wnid
    with Image.open(root / "val" / "images" / first) as image:
        expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(tiny.test.pixels[0].numpy(), expected)
    files = [*root.glob("train/*/images/*.JPEG"), *root.glob("val/images/*.JPEG")]
    gray_files = sum(Image.open(path).mode == "L" for path in files)
    assert gray_files == 38  # as many as the sample's description says
    gray = sum(
        int(((split.pixels[:, :1] == split.pixels).flatten(1).all(dim=1)).sum()) for split in (tiny.train, tiny.test)
    )
    assert gray >= gray_files


def test_labels_follow_wnids_and_gray_becomes_colour(data_dir: Path) -> None:
    tiny = load(data_dir)
    assert tiny.class_names == ("tabby", "goldfish")
    assert tiny.train.labels.tolist() == [0] * TRAIN + [1] * TRAIN
    assert tiny.test.labels.tolist() == [1, 0, 1, 1]
    assert tiny.test.pixels.shape == (4, 3, 64, 64)
    assert tiny.test.pixels[2, 0].equal(tiny.test.pixels[2, 2])
    with Image.open(data_dir / "tiny-imagenet-200" / "train" / "n01" / "images" / "n01_1.JPEG") as image:
        expected = np.asarray(image).transpose(2, 0, 1)
    assert np.array_equal(tiny.train.pixels[TRAIN + 1].numpy(), expected)


@pytest.mark.parametrize("with_boxes", [True, False])
def test_stray_files_change_nothing(with_boxes: bool, data_dir: Path) -> None:
    clean = load(data_dir).digest
    root = data_dir / "tiny-imagenet-200"
    for folder in (root, root / "train", root / "train" / "n01" / "images", root / "val" / "images"):
        for name in (".DS_Store", "Thumbs.db", "._n01_0.JPEG"):
            (folder / name).write_bytes(b"stray")
    if not with_boxes:
        for boxes in root.glob("train/*/*_boxes.txt"):
            boxes.unlink()
    assert load(data_dir).digest == clean


def test_missing_data_name_the_place_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'tiny-imagenet' is not in .*add --download \(fetches 237 MB\)") as raised:
        load(tmp_path)
    assert str(tmp_path / "tiny-imagenet-200") in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "path",
    [
        "wnids.txt",
        "words.txt",
        "val/val_annotations.txt",
        "val/images/val_1.JPEG",
        "train/n01/images/n01_2.JPEG",
    ],
)
def test_a_file_that_is_gone_is_named(path: str, data_dir: Path) -> None:
    (data_dir / "tiny-imagenet-200" / path).unlink()
    with pytest.raises(DataError, match=r"No such file.*delete it and add --download") as raised:
        load(data_dir)
    assert path in str(raised.value)


def test_a_class_that_is_gone_is_named(data_dir: Path) -> None:
    shutil.rmtree(data_dir / "tiny-imagenet-200" / "train" / "n01")
    with pytest.raises(DataError, match="the class n01 has no training images"):
        load(data_dir)


def test_a_corrupt_image_is_named(data_dir: Path) -> None:
    image = data_dir / "tiny-imagenet-200" / "train" / "n02" / "images" / "n02_0.JPEG"
    image.write_bytes(image.read_bytes()[:300])
    with pytest.raises(DataError, match=r"cannot read the image .*n02_0\.JPEG"):
        load(data_dir)


def test_an_image_of_another_size_is_named(data_dir: Path, write_image: Callable[..., np.ndarray]) -> None:
    write_image(data_dir / "tiny-imagenet-200" / "train" / "n02" / "images" / "n02_1.JPEG", (32, 40, 3))
    with pytest.raises(DataError, match=r"n02_1\.JPEG has 40x32 pixels where 64x64 are expected"):
        load(data_dir)


def test_an_annotation_of_an_unlisted_class_is_named(data_dir: Path) -> None:
    with (data_dir / "tiny-imagenet-200" / "val" / "val_annotations.txt").open("a") as annotations:
        annotations.write("val_9.JPEG\tn77\t0\t0\t1\t1\n")
    with pytest.raises(DataError, match=r"val_annotations\.txt gives val_9\.JPEG a class that wnids\.txt"):
        load(data_dir)


def test_an_archive_that_lies_there_is_unpacked(archive: bytes, data_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "tiny-imagenet-200.zip").write_bytes(archive)
    assert load(other).digest == load(data_dir).digest
    assert sorted(path.name for path in other.iterdir()) == ["tiny-imagenet-200", "tiny-imagenet-200.zip"]


def test_a_damaged_archive_is_named_and_not_unpacked(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(archive[:-1])
    with pytest.raises(DataError, match=r"tiny-imagenet-200\.zip is damaged \(MD5.*delete it"):
        load(tmp_path)
    assert not (tmp_path / "tiny-imagenet-200").exists()


def test_download_and_its_failures(
    archive: bytes, server: LocalServer, dead_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "fresh"
    monkeypatch.setattr(tiny_imagenet, "URL", f"{dead_url}tiny.zip")
    with pytest.raises(DataError, match=r"could not download .*check the network"):
        load(place, download=True)
    monkeypatch.setattr(tiny_imagenet, "URL", f"{server.url}tiny.zip")
    (server.folder / "tiny.zip").write_bytes(archive[:100])
    with pytest.raises(DataError, match="wrong checksum"):
        load(place, download=True)
    assert not list(place.iterdir())
    (server.folder / "tiny.zip").write_bytes(archive)
    assert len(load(place, download=True).train) == 2 * TRAIN
