"""STL-10 on small files of its binary format, beside torchvision's own reader."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision
from local_server import LocalServer

from attacks.errors import DataError
from bench.datasets.contract import LoadRequest
from bench.datasets.registry import load_dataset

COUNTS = {"train": 5, "test": 3, "unlabeled": 2}


@pytest.fixture
def files(md5_of: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """All binary files in small, with torchvision's table of checksums set to match."""
    generator = np.random.default_rng(3)
    content = {}
    for part, count in COUNTS.items():
        content[f"{part}_X.bin"] = generator.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8).tobytes()
        if part != "unlabeled":
            content[f"{part}_y.bin"] = generator.integers(1, 11, count, dtype=np.uint8).tobytes()
    known = torchvision.datasets.STL10
    table = [[name, md5_of(data)] for name, data in content.items()]
    monkeypatch.setattr(known, "train_list", [row for row in table if not row[0].startswith("test")])
    monkeypatch.setattr(known, "test_list", [row for row in table if row[0].startswith("test")])
    return content


@pytest.fixture
def archive(files: dict[str, bytes], md5_of: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"stl10_binary/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    monkeypatch.setattr(torchvision.datasets.STL10, "tgz_md5", md5_of(packed.getvalue()))
    return packed.getvalue()


def write_folder(data_dir: Path, files: dict[str, bytes]) -> Path:
    folder = data_dir / "stl10_binary"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_images_and_labels_are_what_torchvision_reads(files: dict[str, bytes], tmp_path: Path) -> None:
    write_folder(tmp_path, files)
    stl = load_dataset("stl10", LoadRequest(data_dir=tmp_path))
    assert stl.family == "stl10"
    assert stl.image_shape == (3, 96, 96)
    for part, split in (("train", stl.train), ("test", stl.test)):
        oracle = torchvision.datasets.STL10(tmp_path, split=part)
        assert np.array_equal(split.pixels.numpy(), oracle.data)
        assert split.labels.tolist() == oracle.labels.tolist()
    # Columns first: the second byte of the file is the second row's first pixel.
    assert stl.train.pixels[0, 0, 1, 0].item() == files["train_X.bin"][1]


def test_the_unlabelled_images_are_not_needed(files: dict[str, bytes], tmp_path: Path) -> None:
    (write_folder(tmp_path, files) / "unlabeled_X.bin").unlink()
    assert len(load_dataset("stl10", LoadRequest(data_dir=tmp_path)).test) == COUNTS["test"]


@pytest.mark.parametrize("name", ["train_X.bin", "test_y.bin"])
def test_a_truncated_file_is_named(name: str, files: dict[str, bytes], tmp_path: Path) -> None:
    write_folder(tmp_path, {**files, name: files[name][:-1]})
    with pytest.raises(DataError, match=rf"{name} is damaged \(MD5.*delete it and add --download"):
        load_dataset("stl10", LoadRequest(data_dir=tmp_path))


def test_missing_data_name_the_place_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'stl10' is not in .*add --download \(fetches 2519 MB\)") as raised:
        load_dataset("stl10", LoadRequest(data_dir=tmp_path))
    assert str(tmp_path) in str(raised.value)


def test_an_archive_that_lies_there_is_unpacked_without_the_unlabelled(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "stl10_binary.tar.gz").write_bytes(archive)
    load_dataset("stl10", LoadRequest(data_dir=tmp_path))
    names = sorted(path.name for path in (tmp_path / "stl10_binary").iterdir())
    assert names == ["test_X.bin", "test_y.bin", "train_X.bin", "train_y.bin"]


def test_a_damaged_archive_is_not_unpacked(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "stl10_binary.tar.gz").write_bytes(archive[:-1])
    with pytest.raises(DataError, match=r"stl10_binary\.tar\.gz is damaged"):
        load_dataset("stl10", LoadRequest(data_dir=tmp_path))
    assert not (tmp_path / "stl10_binary").exists()


def test_download_and_its_failures(
    archive: bytes, server: LocalServer, dead_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = LoadRequest(data_dir=tmp_path / "data", download=True)
    monkeypatch.setattr(torchvision.datasets.STL10, "url", f"{dead_url}stl10_binary.tar.gz")
    with pytest.raises(DataError, match=r"could not download .*check the network"):
        load_dataset("stl10", request)
    monkeypatch.setattr(torchvision.datasets.STL10, "url", f"{server.url}stl10_binary.tar.gz")
    (server.folder / "stl10_binary.tar.gz").write_bytes(b"404 in disguise")
    with pytest.raises(DataError, match="wrong checksum"):
        load_dataset("stl10", request)
    assert not list((tmp_path / "data").iterdir())
    (server.folder / "stl10_binary.tar.gz").write_bytes(archive)
    assert len(load_dataset("stl10", request).train) == COUNTS["train"]
