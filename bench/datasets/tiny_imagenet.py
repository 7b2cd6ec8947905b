"""Tiny ImageNet: 100,000 + 10,000 colour images of 64x64 in 200 classes.

Source: Stanford CS231n, http://cs231n.stanford.edu/tiny-imagenet-200.zip. The test images of the archive
carry no labels, so its validation part is the test split, as everywhere in the literature. The archive's
own lists say which images there are (`wnids.txt`, `*_boxes.txt`, `val_annotations.txt`); files that no list
names, such as .DS_Store or Thumbs.db, are never looked at, and a listed file that is not there is an error.
"""

from pathlib import Path
from zipfile import ZipFile

import torch

from attacks.errors import DataError
from bench.datasets.contract import Dataset, DatasetEntry, LoadRequest, Split, digest_of
from bench.datasets.download import fetch, make_scratch, missing, require_digest
from bench.datasets.image_files import image_files, read_images

FAMILY = "tiny-imagenet"
URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
MEGABYTES = 237
FOLDER = "tiny-imagenet-200"
SIZE = (64, 64)


def load_tiny_imagenet(request: LoadRequest) -> Dataset:
    """Read Tiny ImageNet from `data_dir/tiny-imagenet-200`, unpacking or downloading it where needed.

    Labels follow the order of `wnids.txt`. A folder of fewer classes in the same layout is read just so.

    Raises:
        DataError: the data are missing, incomplete or damaged, or the download failed.
    """
    folder = request.data_dir / FOLDER
    if not folder.is_dir():
        _bring(request, folder)
    try:
        wnids = [row[0] for row in _rows(folder / "wnids.txt")]
        label_of = {wnid: label for label, wnid in enumerate(wnids)}
        train = _read_split([(path, label) for wnid, label in label_of.items() for path in _train_files(folder, wnid)])
        test = _read_split(_validation_files(folder, label_of))
        names = dict(row[:2] for row in _rows(folder / "words.txt"))
    except DataError as error:
        raise DataError(f"{error}; if {folder} is incomplete, delete it and add --download") from error
    return Dataset(
        name="tiny-imagenet",
        family=FAMILY,
        class_names=tuple(names.get(wnid, wnid).split(",")[0] for wnid in wnids),
        train=train,
        test=test,
        digest=digest_of(train, test),
    )


def _bring(request: LoadRequest, folder: Path) -> None:
    """Unpack the archive beside `folder`, downloading it first where it is missing and that is allowed."""
    archive = folder.with_suffix(".zip")
    if archive.is_file():
        require_digest(archive, MD5)
    elif request.download:
        fetch([URL], archive, MD5, request)
    else:
        raise missing("tiny-imagenet", folder, MEGABYTES)
    with make_scratch(request.data_dir) as scratch, ZipFile(archive) as unpacked:
        unpacked.extractall(scratch)
        Path(scratch, FOLDER).replace(folder)


def _rows(path: Path) -> list[list[str]]:
    """The tab-separated fields of each line that is not blank."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} ({getattr(error, 'strerror', None) or error})") from error
    return [[field.strip() for field in line.split("\t")] for line in lines if line.strip()]


def _train_files(folder: Path, wnid: str) -> list[Path]:
    """The training images of one class, as its list of bounding boxes names them.

    Copies without the list of boxes are common; then it is every visible image file.
    """
    images = folder / "train" / wnid / "images"
    boxes = folder / "train" / wnid / f"{wnid}_boxes.txt"
    files = [images / row[0] for row in _rows(boxes)] if boxes.exists() else image_files(images)
    if not files:
        raise DataError(f"the class {wnid} has no training images in {images}")
    return files


def _validation_files(folder: Path, label_of: dict[str, int]) -> list[tuple[Path, int]]:
    annotations = folder / "val" / "val_annotations.txt"
    rows = _rows(annotations)
    for name, *rest in rows:
        if not rest or rest[0] not in label_of:
            raise DataError(f"{annotations} gives {name} a class that wnids.txt does not list")
    return [(folder / "val" / "images" / row[0], label_of[row[1]]) for row in rows]


def _read_split(items: list[tuple[Path, int]]) -> Split:
    if not items:
        raise DataError("the lists name no images")
    pixels = read_images([path for path, _ in items], size=SIZE, channels=3)  # some of the JPEGs are gray
    return Split(pixels=pixels, labels=torch.tensor([label for _, label in items]))


TINY_IMAGENET = DatasetEntry(
    name="tiny-imagenet",
    family=FAMILY,
    summary="110,000 photographs in 200 classes, 64x64 colour",
    source="Stanford CS231n, http://cs231n.stanford.edu; supplement C.1",
    megabytes=MEGABYTES,
    load=load_tiny_imagenet,
)
