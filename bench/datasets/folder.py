"""Any image folder: PATH/train/CLASS/* and PATH/test/CLASS/*, with `val` accepted in place of `test`.

Source: our own decision; the layout is torchvision's ImageFolder. The images take the networks of the
dataset whose image shape they have, so a shape without networks is refused before anything else is done.
"""

from pathlib import Path

import torch

from attacks.errors import DataError, RequestError
from bench.datasets.contract import Dataset, DatasetEntry, LoadRequest, Split, digest_of
from bench.datasets.image_files import ImageSizeError, image_files, read_image, read_images

FAMILIES = {  # (channels, height, width) -> network family
    (1, 28, 28): "mnist",
    (3, 32, 32): "cifar10",
    (3, 64, 64): "tiny-imagenet",
    (3, 96, 96): "stl10",
}
TEST_FOLDERS = ("test", "val")
LAYOUT = "PATH/train/CLASS/*.png and PATH/test/CLASS/*.png"

Classes = dict[str, list[Path]]  # class name -> its image files, both sorted


def load_folder(request: LoadRequest) -> Dataset:
    """Load the image folder at `request.path`; classes are its subfolders in alphabetical order.

    Raises:
        RequestError: no path, options out of range, images of several sizes, or a shape without networks.
        DataError: the folder or a part of it is missing, the classes do not fit, or an image is broken.
    """
    if not request.path:
        raise RequestError(f"'folder' needs a path: write folder:PATH, where the images are {LAYOUT}")
    name = f"folder:{request.path}"
    if request.channels not in {None, 1, 3}:
        raise RequestError(f"--channels is 1 (gray) or 3 (colour), not {request.channels}")
    train_classes, test_classes = _find_classes(Path(request.path).expanduser())
    size = _image_size(request, next(iter(train_classes.values()))[0])
    if not any(size == shape[1:] and request.channels in {None, shape[0]} for shape in FAMILIES):
        raise _no_networks(name, size, request.channels)
    train = _read_split(train_classes, size, request)
    test = _read_split(test_classes, size, request)
    train, test = _same_channels(train, test)
    shape = (train.pixels.shape[1], *size)
    if shape not in FAMILIES:
        raise _no_networks(name, size, shape[0])
    return Dataset(
        name=name,
        family=FAMILIES[shape],
        class_names=tuple(train_classes),
        train=train,
        test=test,
        digest=digest_of(train, test),
    )


def _find_classes(root: Path) -> tuple[Classes, Classes]:
    """The image files of every class in train and test, after checking that both hold the same classes."""
    if not root.is_dir():
        raise DataError(f"there is no folder {root}: folder:PATH wants {LAYOUT}")
    test_root = next((root / part for part in TEST_FOLDERS if (root / part).is_dir()), root / "test")
    for part in (root / "train", test_root):
        if not part.is_dir():
            raise DataError(f"{root} has no folder '{part.name}': folder:PATH wants {LAYOUT}")
    train, test = _classes_in(root / "train"), _classes_in(test_root)
    if set(train) != set(test):
        only = [
            f"only in {part}: {', '.join(sorted(set(has) - set(lacks)))}"
            for part, has, lacks in (("train", train, test), (test_root.name, test, train))
            if set(has) - set(lacks)
        ]
        raise DataError(f"train and {test_root.name} of {root} hold different classes ({'; '.join(only)})")
    if len(train) < 2:
        raise DataError(
            f"{root / 'train'} has {len(train)} class folder{'s' * (not train)}"
            f"{''.join(f' ({label})' for label in train)}: a classifier needs at least two"
        )
    for part, classes in ((root / "train", train), (test_root, test)):
        for label, files in classes.items():
            if not files:
                raise DataError(f"the class '{label}' has no images in {part / label}: add some or remove it")
    return train, test


def _classes_in(part: Path) -> Classes:
    folders = sorted(path for path in part.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {folder.name: image_files(folder) for folder in folders}


def _image_size(request: LoadRequest, first: Path) -> tuple[int, int]:
    """(height, width): what --image-size says, else the size of the first image."""
    if request.image_size is not None:
        return request.image_size, request.image_size
    height, width = read_image(first, request.channels).shape[1:]
    return height, width


def _read_split(classes: Classes, size: tuple[int, int], request: LoadRequest) -> Split:
    files = [path for paths in classes.values() for path in paths]
    counts = torch.tensor([len(paths) for paths in classes.values()])
    try:
        pixels = read_images(files, size=size, channels=request.channels, resize=request.image_size is not None)
    except ImageSizeError as error:
        raise RequestError(f"{error}: add --image-size {size[0]} to bring all images to one size") from error
    return Split(pixels=pixels, labels=torch.arange(len(counts)).repeat_interleave(counts))


def _same_channels(train: Split, test: Split) -> tuple[Split, Split]:
    """Spread gray over three channels where only one of the splits has colour."""
    channels = max(train.pixels.shape[1], test.pixels.shape[1])
    spread = [
        Split(pixels=split.pixels.expand(-1, channels, -1, -1).contiguous(), labels=split.labels)
        for split in (train, test)
    ]
    return spread[0], spread[1]


def _no_networks(name: str, size: tuple[int, int], channels: int | None) -> RequestError:
    of_channels = f" with {channels} channel{'s' * (channels > 1)}" if channels else ""
    ways = [
        f"--image-size {height} --channels {channels} ({family})" for (channels, height, _), family in FAMILIES.items()
    ]
    return RequestError(
        f"{name} gives {size[1]}x{size[0]} images{of_channels}, for which there are no networks: "
        f"add {', '.join(ways[:-1])} or {ways[-1]}"
    )


FOLDER = DatasetEntry(
    name="folder",
    summary="folder:PATH, any folder of train and test images, a subfolder a class",
    source="our own decision; the layout of torchvision's ImageFolder",
    megabytes=0,
    load=load_folder,
)
