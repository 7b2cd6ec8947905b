"""What the attack tests share: a nonlinear network, images, and the classes it predicts for them."""

import pytest
import torch
from small_models import random_images, small_network
from torch import Tensor, nn

from attacks.goal import Goal


@pytest.fixture
def network() -> nn.Sequential:
    return small_network()


@pytest.fixture
def images() -> Tensor:
    return random_images(14)


@pytest.fixture
def goal(network: nn.Sequential, images: Tensor) -> Goal:
    """Get away from the predicted class."""
    with torch.no_grad():
        return Goal(classes=network(images).argmax(dim=1))
