"""One network of each family and kind, built once and dropped when the last test has used it."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from defenses.contract import Classifier
from defenses.networks.family import NetworkFamily
from defenses.networks.registry import FAMILIES, build_baseline, build_er_network

# The number of classes of each dataset, by the datasets' own pages.
CLASSES = {"digits": 10, "mnist": 10, "cifar10": 10, "stl10": 10, "tiny-imagenet": 200}


class Built(NamedTuple):
    """A network in eval mode, and what it was built from."""

    family: NetworkFamily
    kind: str
    classes: int
    network: Classifier


@pytest.fixture(
    scope="session",
    params=[(family, kind) for family in CLASSES for kind in ("baseline", "er")],
    ids="-".join,
)
def built(request: pytest.FixtureRequest) -> Built:
    name, kind = request.param
    family, classes = FAMILIES.get(name), CLASSES[name]
    if kind == "baseline":
        network = build_baseline(name, classes=classes, seed=0)
    else:
        network = build_er_network(name, classes=classes, embedding_dim=family.embedding_dim, seed=0)
    return Built(family, kind, classes, network.eval())


@pytest.fixture
def family(built: Built) -> NetworkFamily:
    return built.family


@pytest.fixture
def kind(built: Built) -> str:
    """Either "baseline" or "er"."""
    return built.kind


@pytest.fixture
def classes(built: Built) -> int:
    return built.classes


@pytest.fixture
def network(built: Built) -> Classifier:
    return built.network


@pytest.fixture
def images(family: NetworkFamily) -> Tensor:
    """Two images of the family's shape, float32 in [0, 1]."""
    return torch.rand(2, *family.image_shape, generator=torch.Generator().manual_seed(0))
