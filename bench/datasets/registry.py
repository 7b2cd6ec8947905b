"""Every dataset, in one table, and the one function that loads them."""

from dataclasses import replace

from attacks.errors import DataError, RequestError
from attacks.registration import Registry
from bench.datasets.cifar10 import CIFAR10
from bench.datasets.contract import Dataset, DatasetEntry, LoadRequest
from bench.datasets.digits import DIGITS
from bench.datasets.folder import FOLDER
from bench.datasets.mnist import FASHION_MNIST, MNIST
from bench.datasets.stl10 import STL10
from bench.datasets.tiny_imagenet import TINY_IMAGENET

DATASETS: Registry[DatasetEntry] = Registry(
    "dataset", "erbench.datasets", (DIGITS, MNIST, FASHION_MNIST, CIFAR10, STL10, TINY_IMAGENET, FOLDER)
)


def load_dataset(name: str, request: LoadRequest) -> Dataset:
    """Load the dataset that a user calls `name`.

    Args:
        name: a registered name, or `folder:PATH`.
        request: where the data lie and what may be done; its `path` is taken from `name`.

    Raises:
        RequestError: the name is unknown, or an option does not fit the dataset.
        DataError: the data are missing or damaged, or a download failed.
    """
    word, colon, path = name.partition(":")
    entry = DATASETS.get(word)
    if entry.name != FOLDER.name:
        if colon:
            raise RequestError(f"'{name}': only folder takes a path (folder:PATH); write '{word}'")
        if request.image_size is not None or request.channels is not None:
            raise RequestError(f"--image-size and --channels convert folder:PATH only, not '{word}'")
    try:
        return entry.load(replace(request, path=path))
    except OSError as error:  # no permission, a full disk
        raise DataError(f"cannot load dataset '{name}': {error}") from error
