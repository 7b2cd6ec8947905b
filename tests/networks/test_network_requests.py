"""Requests that no network can serve are refused with one line that says what to do."""

import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision.models import VGG19_Weights

from attacks.errors import DataError, RequestError
from defenses.contract import Classifier
from defenses.networks.registry import FAMILIES, build_baseline, build_discriminator, build_er_network
from defenses.networks.vgg import vgg_trunk


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch.hub cache, so that weights somebody once downloaded do not matter."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def _imagenet_cifar10() -> Classifier:
    return build_er_network("cifar10", classes=10, embedding_dim=16, seed=0, encoder_init="imagenet")


def test_unknown_family_names_the_near_one() -> None:
    with pytest.raises(RequestError, match="did you mean 'mnist'"):
        build_baseline("mnits", classes=10, seed=0)


@pytest.mark.parametrize("embedding_dim", [0, -4])
def test_embedding_without_a_dimension_is_refused(embedding_dim: int) -> None:
    with pytest.raises(RequestError, match="at least 1"):
        build_er_network("digits", classes=10, embedding_dim=embedding_dim, seed=0)
    with pytest.raises(RequestError, match="at least 1"):
        build_discriminator(embedding_dim, seed=0)


@pytest.mark.parametrize("name", [family.name for family in FAMILIES if family.name != "cifar10"])
def test_only_cifar10_starts_from_imagenet(name: str) -> None:
    with pytest.raises(RequestError, match="scratch"):
        build_er_network(name, classes=10, embedding_dim=4, seed=0, encoder_init="imagenet")


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("invalid hash value"), EOFError()])
def test_failed_download_says_its_size_and_the_way_out(
    hub: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(VGG19_Weights, "get_state_dict", fail)
    with pytest.raises(DataError, match=r"548 MB.*--encoder-init scratch") as caught:
        _imagenet_cifar10()
    assert "\n" not in str(caught.value)


def test_damaged_copy_is_never_loaded(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # torchvision names the file after the first digits of its SHA-256; these bytes have another.
    damaged = hub / Path(VGG19_Weights.IMAGENET1K_V1.url).name
    damaged.write_bytes(b"not the weights")
    assert not hashlib.sha256(b"not the weights").hexdigest().startswith("dcbb9e9d")
    monkeypatch.setattr(VGG19_Weights, "get_state_dict", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(DataError, match="wrong checksum"):
        _imagenet_cifar10()


def test_imagenet_weights_fill_the_convolutions_and_bring_no_batch_norm(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = vgg_trunk("E", batch_norm=False).state_dict()
    published = {f"features.{key}": value for key, value in state.items()} | {"classifier.0.bias": torch.ones(3)}
    monkeypatch.setattr(VGG19_Weights, "get_state_dict", lambda *_, **__: published)
    encoder = _imagenet_cifar10().encoder
    # Table 8: 16 convolutions, one fully connected layer, and no BatchNorm named.
    assert not [layer for layer in encoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len([layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]) == 16
    loaded = encoder.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert encoder.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 16)
