"""MNIST on the real files; Fashion-MNIST and every failure on small files of the same format."""

import gzip
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torchvision
from local_server import LocalServer

from attacks.errors import DataError
from bench.datasets.contract import LoadRequest
from bench.datasets.mnist import FASHION_MNIST_SOURCE, MNIST_SOURCE, IdxSource, load_idx
from bench.datasets.registry import load_dataset

COUNTS = {"train": 12, "t10k": 6}


@pytest.fixture
def small_files() -> dict[str, bytes]:
    """Four IDX files with 12 and 6 images of 28x28, unpacked."""
    generator = np.random.default_rng(1)
    files = {}
    for part, count in COUNTS.items():
        pixels = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = generator.integers(0, 10, count, dtype=np.uint8)
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + pixels.tobytes()
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">4BI", 0, 0, 8, 1, count) + labels.tobytes()
    return files


@pytest.fixture
def small_fashion(small_files: dict[str, bytes], md5_of: Callable[[bytes], str]) -> IdxSource:
    """Fashion-MNIST's source with the small files' checksums."""
    return replace(FASHION_MNIST_SOURCE, md5={name: md5_of(data) for name, data in small_files.items()})


@pytest.fixture
def served_fashion(
    small_files: dict[str, bytes],
    server: LocalServer,
    md5_of: Callable[[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The addresses and archive checksums that torchvision knows, pointed at a local server."""
    resources = []
    for name, data in small_files.items():
        archive = gzip.compress(data)
        (server.folder / f"{name}.gz").write_bytes(archive)
        resources.append((f"{name}.gz", md5_of(archive)))
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [server.url])
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", resources)


def write_raw(data_dir: Path, files: dict[str, bytes]) -> Path:
    folder = data_dir / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_real_mnist_has_its_published_labels_mean_and_deviation(shared_data: Path) -> None:
    mnist = load_dataset("mnist", LoadRequest(data_dir=shared_data / "mnist"))
    assert (len(mnist.train), len(mnist.test)) == (60_000, 10_000)
    assert mnist.image_shape == (1, 28, 28)
    assert mnist.family == "mnist"
    assert mnist.test.labels[:20].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9, 0, 1, 5, 9, 7, 3, 4]
    assert (mnist.test.labels[:100] == 3).sum() == 11  # the paper's floor of 11.00 %
    images = mnist.train.images()
    assert images.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert images.std().item() == pytest.approx(0.3081, abs=5e-5)


def test_real_mnist_unpacked_is_what_torchvision_reads(shared_data: Path, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in (shared_data / "mnist" / "MNIST" / "raw").glob("*.gz"):
        (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
    mnist = load_dataset("mnist", LoadRequest(data_dir=tmp_path))
    oracle = torchvision.datasets.MNIST(tmp_path, train=False)
    assert mnist.test.pixels[:, 0].equal(oracle.data)
    assert mnist.test.labels.equal(oracle.targets)
    packed = load_dataset("mnist", LoadRequest(data_dir=shared_data / "mnist"))
    assert mnist.digest == packed.digest


def test_a_truncated_archive_of_real_mnist_is_named(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "mnist", tmp_path, dirs_exist_ok=True, copy_function=shutil.copyfile)
    broken = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    broken.unlink()
    whole = shared_data / "mnist" / "MNIST" / "raw" / broken.name
    broken.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is damaged .*delete it and add --download"):
        load_dataset("mnist", LoadRequest(data_dir=tmp_path))


@pytest.mark.parametrize("packed", [True, False])
def test_small_files_are_read_byte_for_byte(
    packed: bool, small_files: dict[str, bytes], small_fashion: IdxSource, tmp_path: Path
) -> None:
    if packed:
        write_raw(tmp_path, {f"{name}.gz": gzip.compress(data) for name, data in small_files.items()})
    else:
        write_raw(tmp_path, small_files)
    fashion = load_idx(small_fashion, LoadRequest(data_dir=tmp_path))
    assert fashion.name == "fashion-mnist"
    assert fashion.family == "mnist"
    assert fashion.class_names[-1] == "Ankle boot"
    assert fashion.train.pixels.shape == (12, 1, 28, 28)
    assert fashion.train.pixels.numpy().tobytes() == small_files["train-images-idx3-ubyte"][16:]
    assert bytes(fashion.test.labels.tolist()) == small_files["t10k-labels-idx1-ubyte"][8:]


@pytest.mark.parametrize(
    ("name", "folder", "megabytes"),
    [("mnist", "MNIST/raw", 12), ("fashion-mnist", "FashionMNIST/raw", 30)],
)
def test_missing_data_name_the_place_and_the_command(name: str, folder: str, megabytes: int, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        load_dataset(name, LoadRequest(data_dir=tmp_path))
    message = str(raised.value)
    assert f"'{name}'" in message
    assert str(tmp_path / folder) in message
    assert f"add --download (fetches {megabytes} MB)" in message
    assert "--data-dir" in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_one_wrong_byte_is_found(small_files: dict[str, bytes], small_fashion: IdxSource, tmp_path: Path) -> None:
    broken = bytearray(small_files["train-images-idx3-ubyte"])
    broken[-1] ^= 1
    write_raw(tmp_path, {**small_files, "train-images-idx3-ubyte": bytes(broken)})
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte is damaged \(MD5.*delete it"):
        load_idx(small_fashion, LoadRequest(data_dir=tmp_path, download=True))


def test_the_unchecked_files_that_torchvision_prefers_are_no_data(tmp_path: Path) -> None:
    processed = tmp_path / "MNIST" / "processed"
    processed.mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        (processed / name).write_bytes(b"a pickle")
    with pytest.raises(DataError, match="add --download"):
        load_dataset("mnist", LoadRequest(data_dir=tmp_path))


@pytest.mark.usefixtures("served_fashion")
def test_download_fetches_only_what_is_missing(
    small_files: dict[str, bytes], small_fashion: IdxSource, server: LocalServer, tmp_path: Path
) -> None:
    there = "train-labels-idx1-ubyte"
    folder = write_raw(tmp_path, {there: small_files[there]})
    fetched = load_idx(small_fashion, LoadRequest(data_dir=tmp_path, download=True))
    assert sorted(server.requested) == sorted(f"{name}.gz" for name in small_files if name != there)
    assert fetched.digest == load_idx(small_fashion, LoadRequest(data_dir=tmp_path)).digest
    assert sorted(path.name for path in folder.iterdir()) == sorted([*server.requested, there])


@pytest.mark.usefixtures("served_fashion")
def test_a_download_with_a_wrong_checksum_is_not_kept(
    small_fashion: IdxSource, server: LocalServer, tmp_path: Path
) -> None:
    (server.folder / "train-images-idx3-ubyte.gz").write_bytes(b"a login page")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz.*wrong checksum"):
        load_idx(small_fashion, LoadRequest(data_dir=tmp_path, download=True))
    assert not list((tmp_path / "FashionMNIST" / "raw").iterdir())


def test_download_without_a_network_says_so(dead_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [dead_url])
    with pytest.raises(DataError, match=r"could not download .*check the network"):
        load_idx(MNIST_SOURCE, LoadRequest(data_dir=tmp_path, download=True))
