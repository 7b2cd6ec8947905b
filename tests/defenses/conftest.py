"""What the tests of the defenses share."""

import pytest
from small_parts import tiny_classifier, toy_images

from bench.datasets.contract import Split
from defenses.contract import Classifier


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
