"""STL-10: 5,000 + 8,000 labelled colour images of 96x96 in 10 classes.

Source: Coates et al. 2011, https://cs.stanford.edu/~acoates/stl10. Address, checksums and folder are
torchvision's, so both programs share one copy. Its loader is not called: for the 360 MB of labelled images
it wants, and checks twice, the 2.6 GB of unlabelled ones, which are left in the archive here.
"""

import tarfile
from pathlib import Path

import numpy as np
import torch

from bench.datasets.contract import Dataset, DatasetEntry, LoadRequest, Split, digest_of
from bench.datasets.download import fetch, make_scratch, missing, require_digest

FAMILY = "stl10"
MEGABYTES = 2519
SHAPE = (3, 96, 96)
CLASS_NAMES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def load_stl10(request: LoadRequest) -> Dataset:
    """Read STL-10 from `data_dir/stl10_binary`, unpacking or downloading the archive where that is needed.

    Raises:
        DataError: a file is missing or damaged, or the download failed.
    """
    from torchvision import datasets  # type: ignore[import-untyped, unused-ignore]  # ships no types

    known = datasets.STL10
    folder = request.data_dir / known.base_folder
    md5 = {name: md5 for name, md5 in known.train_list + known.test_list if not name.startswith("unlabeled")}
    if not all((folder / name).is_file() for name in md5):
        _bring(request, request.data_dir / known.filename, known.url, known.tgz_md5)
        _unpack(request.data_dir / known.filename, folder, set(md5))
    for name, expected in md5.items():
        require_digest(folder / name, expected)
    train = _read_split(folder, "train")
    test = _read_split(folder, "test")
    return Dataset(
        name="stl10",
        family=FAMILY,
        class_names=CLASS_NAMES,
        train=train,
        test=test,
        digest=digest_of(train, test),
    )


def _bring(request: LoadRequest, archive: Path, url: str, md5: str) -> None:
    """See to it that the whole archive is there: the one that lies there already, else a download."""
    if archive.is_file():
        require_digest(archive, md5)
    elif request.download:
        fetch([url], archive, md5, request)
    else:
        raise missing("stl10", request.data_dir, MEGABYTES)


def _unpack(archive: Path, folder: Path, wanted: set[str]) -> None:
    """Write the wanted members of `archive` into `folder`, each whole or not at all; keep those there."""
    with make_scratch(folder) as scratch, tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            target = folder / Path(member.name).name
            content = tar.extractfile(member) if target.name in wanted and not target.exists() else None
            if content is not None:
                partial = Path(scratch) / target.name
                partial.write_bytes(content.read())
                partial.replace(target)


def _read_split(folder: Path, part: str) -> Split:
    by_column = np.fromfile(folder / f"{part}_X.bin", np.uint8).reshape(-1, *SHAPE)
    pixels = torch.from_numpy(by_column).transpose(2, 3).contiguous()  # the files go down columns first
    labels = torch.from_numpy(np.fromfile(folder / f"{part}_y.bin", np.uint8).astype(np.int64) - 1)
    return Split(pixels=pixels, labels=labels)


STL10 = DatasetEntry(
    name="stl10",
    family=FAMILY,
    summary="13,000 photographs in 10 classes, 96x96 colour",
    source="Coates et al. 2011, https://cs.stanford.edu/~acoates/stl10; supplement C.1",
    megabytes=MEGABYTES,
    load=load_stl10,
)
