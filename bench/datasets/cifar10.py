"""CIFAR-10: 50,000 + 10,000 colour images of 32x32 in 10 classes.

Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html, the "binary version": records of one
label byte and 3,072 pixel bytes. torchvision's loader is not used because its "python version" is a set of
pickles, and no pickle is ever loaded here. The archive itself is read, so its one published checksum covers
every byte; a folder that somebody unpacked is taken as well, checked by the SHA-1 of each batch that Apache
MXNet's loader publishes.
"""

import tarfile
from pathlib import Path

import numpy as np
import torch

from bench.datasets.contract import Dataset, DatasetEntry, LoadRequest, Split, digest_of
from bench.datasets.download import fetch, missing, require_digest

FAMILY = "cifar10"
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
MEGABYTES = 163
FOLDER = "cifar-10-batches-bin"
BATCH_SHA1 = {
    "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
    "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
    "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
    "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
    "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    "test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c",
}
TEST_BATCH = "test_batch.bin"
PICKLES = "cifar-10-batches-py"
SHAPE = (3, 32, 32)
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10(request: LoadRequest) -> Dataset:
    """Read CIFAR-10 from the archive in `data_dir` or, where there is none, from the unpacked folder.

    Raises:
        DataError: the data are missing or damaged, or the download failed.
    """
    archive = request.data_dir / ARCHIVE
    folder = request.data_dir / FOLDER
    unpacked = all((folder / name).is_file() for name in BATCH_SHA1)
    if not archive.is_file() and not unpacked:
        if not request.download:
            raise missing("cifar10", request.data_dir, MEGABYTES, _remark(request.data_dir))
        fetch([URL], archive, ARCHIVE_MD5, request)
    batches = _read_archive(archive) if archive.is_file() else _read_folder(folder)
    train = _split([batches[name] for name in BATCH_SHA1 if name != TEST_BATCH])
    test = _split([batches[TEST_BATCH]])
    return Dataset(
        name="cifar10",
        family=FAMILY,
        class_names=CLASS_NAMES,
        train=train,
        test=test,
        digest=digest_of(train, test),
    )


def _remark(data_dir: Path) -> str:
    """Why a copy that another program left does not count."""
    if (data_dir / PICKLES).exists():
        return f"; {PICKLES} there holds pickles, which are never loaded"
    return ""


def _read_archive(archive: Path) -> dict[str, bytes]:
    require_digest(archive, ARCHIVE_MD5)
    batches = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = Path(member.name).name
            content = tar.extractfile(member) if name in BATCH_SHA1 else None
            if content is not None:
                batches[name] = content.read()
    return batches


def _read_folder(folder: Path) -> dict[str, bytes]:
    for name, sha1 in BATCH_SHA1.items():
        require_digest(folder / name, sha1, "sha1")
    return {name: (folder / name).read_bytes() for name in BATCH_SHA1}


def _split(batches: list[bytes]) -> Split:
    records = np.frombuffer(b"".join(batches), np.uint8).reshape(-1, 1 + int(np.prod(SHAPE)))
    pixels = torch.from_numpy(records[:, 1:].reshape(-1, *SHAPE).copy())
    labels = torch.from_numpy(records[:, 0].astype(np.int64))
    return Split(pixels=pixels, labels=labels)


CIFAR10 = DatasetEntry(
    name="cifar10",
    family=FAMILY,
    summary="60,000 photographs in 10 classes, 32x32 colour",
    source="Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html; supplement C.1",
    megabytes=MEGABYTES,
    load=load_cifar10,
)
