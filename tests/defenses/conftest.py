"""What the tests of the defenses share."""

from collections.abc import Iterator

import pytest
import torch
from small_parts import tiny_classifier, toy_images

from bench.datasets.contract import Split
from defenses.contract import Classifier


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small run fastest on one thread, many times so where the cores are busy already."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def network() -> Classifier:
    """Untrained, in train mode."""
    return tiny_classifier()


@pytest.fixture
def classifier() -> Classifier:
    """Untrained, in eval mode; detectors do not care how good it is."""
    return tiny_classifier().eval()


@pytest.fixture
def toy() -> Split:
    return toy_images(120)
