"""CIFAR-10 on small files of its binary version."""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from local_server import LocalServer

from attacks.errors import DataError
from bench.datasets import cifar10
from bench.datasets.contract import LoadRequest
from bench.datasets.registry import load_dataset

PER_BATCH = 4


@pytest.fixture
def batches() -> dict[str, bytes]:
    """Six batches of 4 records: a label byte, then 1,024 red, green and blue bytes."""
    generator = np.random.default_rng(2)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    records = generator.integers(0, 256, (len(names), PER_BATCH, 3073), dtype=np.uint8)
    records[:, :, 0] %= 10
    return {name: records[row].tobytes() for row, name in enumerate(names)}


@pytest.fixture
def archive(batches: dict[str, bytes], md5_of: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The batches packed as the official archive packs them, with every checksum set to match."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        folder = tarfile.TarInfo("cifar-10-batches-bin")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in {**batches, "readme.html": b"<html>"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    sha1 = {name: hashlib.sha1(data, usedforsecurity=False).hexdigest() for name, data in batches.items()}
    monkeypatch.setattr(cifar10, "BATCH_SHA1", sha1)
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", md5_of(packed.getvalue()))
    return packed.getvalue()


def write_folder(data_dir: Path, batches: dict[str, bytes]) -> Path:
    folder = data_dir / "cifar-10-batches-bin"
    folder.mkdir()
    for name, data in batches.items():
        (folder / name).write_bytes(data)
    return folder


def test_the_archive_is_read_in_order(archive: bytes, batches: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive)
    cifar = load_dataset("cifar10", LoadRequest(data_dir=tmp_path))
    assert cifar.family == "cifar10"
    assert cifar.image_shape == (3, 32, 32)
    assert (len(cifar.train), len(cifar.test)) == (5 * PER_BATCH, PER_BATCH)
    record = batches["data_batch_2.bin"][3073 : 2 * 3073]
    assert cifar.train.labels[PER_BATCH + 1].item() == record[0]
    image = cifar.train.pixels[PER_BATCH + 1]
    assert image[0].numpy().tobytes() == record[1:1025]  # red
    assert image[2, 0].numpy().tobytes() == record[2049:2081]  # blue, first row
    assert cifar.test.labels.tolist() == list(batches["test_batch.bin"][::3073])
    assert cifar.class_names[6] == "frog"


def test_an_unpacked_folder_gives_the_same(archive: bytes, batches: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "cifar-10-binary.tar.gz").write_bytes(archive)
    write_folder(tmp_path, batches)
    packed = load_dataset("cifar10", LoadRequest(data_dir=tmp_path / "packed"))
    assert load_dataset("cifar10", LoadRequest(data_dir=tmp_path)).digest == packed.digest


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_damaged_batch_is_named(harm: Callable[[bytes], bytes], batches: dict[str, bytes], tmp_path: Path) -> None:
    write_folder(tmp_path, {**batches, "data_batch_3.bin": harm(batches["data_batch_3.bin"])})
    with pytest.raises(DataError, match=r"data_batch_3\.bin is damaged \(SHA1.*delete it and add --download"):
        load_dataset("cifar10", LoadRequest(data_dir=tmp_path))


def test_a_truncated_archive_is_named(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive[:-10])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz is damaged \(MD5.*delete it"):
        load_dataset("cifar10", LoadRequest(data_dir=tmp_path))


def test_a_copy_made_of_pickles_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match=r"'cifar10' is not in .*fetches 163 MB.*pickles, which are never loaded"):
        load_dataset("cifar10", LoadRequest(data_dir=tmp_path))


@pytest.mark.usefixtures("archive")
def test_an_incomplete_folder_counts_as_missing(batches: dict[str, bytes], tmp_path: Path) -> None:
    (write_folder(tmp_path, batches) / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"add --download \(fetches 163 MB\)"):
        load_dataset("cifar10", LoadRequest(data_dir=tmp_path))


def test_download_and_its_failures(
    archive: bytes, server: LocalServer, dead_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = LoadRequest(data_dir=tmp_path / "data", download=True)
    monkeypatch.setattr(cifar10, "URL", f"{dead_url}cifar-10-binary.tar.gz")
    with pytest.raises(DataError, match=r"could not download .*check the network"):
        load_dataset("cifar10", request)
    monkeypatch.setattr(cifar10, "URL", f"{server.url}cifar-10-binary.tar.gz")
    (server.folder / "cifar-10-binary.tar.gz").write_bytes(archive[:-1])
    with pytest.raises(DataError, match="wrong checksum"):
        load_dataset("cifar10", request)
    assert not list((tmp_path / "data").iterdir())
    (server.folder / "cifar-10-binary.tar.gz").write_bytes(archive)
    assert len(load_dataset("cifar10", request).train) == 5 * PER_BATCH
    assert len(server.requested) == 2
    load_dataset("cifar10", request)
    assert len(server.requested) == 2  # what is there is not fetched again
