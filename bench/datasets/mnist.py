"""MNIST and Fashion-MNIST: 60,000 + 10,000 gray images of 28x28 in IDX files.

Sources: LeCun et al. 1998; Xiao et al. 2017, arXiv:1708.07747. Addresses, archive checksums and folders are
torchvision's, so both programs share one copy. Its loader is not called: it prefers an unchecked
`processed/*.pt` to the IDX files, and it takes an unpacked file of any content. Here the MD5 of the
unpacked bytes decides, so archives that were packed anew are as good as the official ones, and they are
read without being unpacked on disk.
"""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.datasets.contract import Dataset, DatasetEntry, LoadRequest, Split, digest_of
from bench.datasets.download import damaged, fetch, missing

FAMILY = "mnist"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdxSource:
    """One dataset of four IDX files.

    name: the word a user types.
    torchvision_class: class in `torchvision.datasets` that knows the addresses; also the folder's name.
    megabytes: size of the four archives.
    class_names: one a class.
    md5: MD5 of each unpacked file.
    """

    name: str
    torchvision_class: str
    megabytes: int
    class_names: tuple[str, ...]
    md5: dict[str, str]


MNIST_SOURCE = IdxSource(
    name="mnist",
    torchvision_class="MNIST",
    megabytes=12,
    class_names=tuple("0123456789"),
    md5={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
)
FASHION_MNIST_SOURCE = IdxSource(
    name="fashion-mnist",
    torchvision_class="FashionMNIST",
    megabytes=30,
    class_names=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    md5={
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
)  # fmt: skip


def load_idx(source: IdxSource, request: LoadRequest) -> Dataset:
    """Read the four files, plain or gzipped, downloading those that are missing when asked to.

    Raises:
        DataError: a file is missing or damaged, or a download failed.
    """
    folder = request.data_dir / source.torchvision_class / "raw"
    absent = [name for name in source.md5 if not _candidates(folder, name)]
    if absent and not request.download:
        raise missing(source.name, folder, source.megabytes)
    for name in absent:
        _download(source, folder / f"{name}.gz", request)
    train = _read_split(source, folder, "train")
    test = _read_split(source, folder, "t10k")
    return Dataset(
        name=source.name,
        family=FAMILY,
        class_names=source.class_names,
        train=train,
        test=test,
        digest=digest_of(train, test),
    )


def _candidates(folder: Path, name: str) -> list[Path]:
    """The files that may hold `name`, the unpacked one first."""
    return [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]


def _download(source: IdxSource, archive: Path, request: LoadRequest) -> None:
    from torchvision import datasets  # type: ignore[import-untyped, unused-ignore]  # ships no types

    known = getattr(datasets, source.torchvision_class)
    urls = [mirror + archive.name for mirror in known.mirrors]
    fetch(urls, archive, dict(known.resources)[archive.name], request)


def _read_split(source: IdxSource, folder: Path, part: str) -> Split:
    pixels = _read_idx(source, folder, f"{part}-images-idx3-ubyte").unsqueeze(1)  # (n, 1, 28, 28)
    labels = _read_idx(source, folder, f"{part}-labels-idx1-ubyte").to(torch.int64)
    return Split(pixels=pixels, labels=labels)


def _read_idx(source: IdxSource, folder: Path, name: str) -> Tensor:
    """The uint8 array of one IDX file: a magic number, big-endian sizes, then the bytes, row by row."""
    path = _candidates(folder, name)[0]
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise damaged(path, str(error)) from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != source.md5[name]:
        raise damaged(path, f"MD5 of the unpacked file {found} instead of {source.md5[name]}")
    dimensions = content[3]
    sizes = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).tolist()
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(sizes).copy())


MNIST = DatasetEntry(
    name="mnist",
    family=FAMILY,
    summary="70,000 handwritten digits, 28x28 gray",
    source="LeCun et al. 1998, http://yann.lecun.com/exdb/mnist; supplement C.1",
    megabytes=MNIST_SOURCE.megabytes,
    load=partial(load_idx, MNIST_SOURCE),
)
FASHION_MNIST = DatasetEntry(
    name="fashion-mnist",
    family=FAMILY,
    summary="70,000 pieces of clothing in 10 classes, 28x28 gray",
    source="Xiao et al. 2017, arXiv:1708.07747",
    megabytes=FASHION_MNIST_SOURCE.megabytes,
    load=partial(load_idx, FASHION_MNIST_SOURCE),
)
