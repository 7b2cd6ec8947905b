"""The embedded digits: 1,797 handwritten digits that come with scikit-learn, so that nothing is downloaded.

Source: the test part of the UCI "Optical Recognition of Handwritten Digits" set, as
`sklearn.datasets.load_digits` ships it: 8x8 pixels of 17 gray levels. They are resized to MNIST's 28x28 so
that MNIST's networks take them.
"""

import torch
from torch.nn.functional import interpolate

from bench.datasets.contract import Dataset, DatasetEntry, LoadRequest, Split, digest_of

FAMILY = "digits"
SIDE = 28
BRIGHTEST = 16  # the brightest of the source's gray levels
TEST_IMAGES = 500
SPLIT_SEED = 0  # part of the dataset's definition: another seed is another dataset


def load_digits(_request: LoadRequest) -> Dataset:
    """Load, resize and split the digits: 1,297 to train on and 500 to test on, each class in proportion."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    digits = datasets.load_digits()
    levels = torch.from_numpy(digits.images).to(torch.float32).unsqueeze(1) / BRIGHTEST  # (n, 1, 8, 8)
    resized = interpolate(levels, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    pixels = (resized * 255).round().to(torch.uint8)  # (n, 1, 28, 28)
    labels = torch.from_numpy(digits.target).to(torch.int64)
    train_rows, test_rows = train_test_split(
        torch.arange(len(labels)).numpy(),
        test_size=TEST_IMAGES,
        random_state=SPLIT_SEED,
        stratify=digits.target,
    )
    whole = Split(pixels=pixels, labels=labels)
    train = whole.take(torch.from_numpy(train_rows))
    test = whole.take(torch.from_numpy(test_rows))
    return Dataset(
        name="digits",
        family=FAMILY,
        class_names=tuple(str(name) for name in digits.target_names),
        train=train,
        test=test,
        digest=digest_of(train, test),
    )


DIGITS = DatasetEntry(
    name="digits",
    family=FAMILY,
    summary="1,797 handwritten digits that come with scikit-learn, resized to 28x28 gray; the default",
    source="UCI optical digits, https://archive.ics.uci.edu/dataset/80",
    megabytes=0,
    load=load_digits,
)
