"""A local download server, and what writes and checks small files."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from local_server import LocalServer
from PIL import Image


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    local = LocalServer(tmp_path_factory.mktemp("served"))
    yield local
    local.stop()


@pytest.fixture
def dead_url(tmp_path: Path) -> str:
    """An address where nobody answers, as without a network."""
    local = LocalServer(tmp_path)
    local.stop()
    return local.url


@pytest.fixture(scope="session")
def md5_of() -> Callable[[Path | bytes], str]:
    def digest(content: Path | bytes) -> str:
        data = content.read_bytes() if isinstance(content, Path) else content
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    return digest


@pytest.fixture(scope="session")
def write_image() -> Callable[..., np.ndarray]:
    """Write a random image (uint8; lossless unless the suffix says otherwise) and return its array."""
    generator = np.random.default_rng(0)

    def write(path: Path, shape: tuple[int, ...]) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        array = generator.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(array).save(path)
        return array

    return write


@pytest.fixture
def fill(tmp_path: Path, write_image: Callable[..., np.ndarray]) -> Callable[..., Path]:
    """Write an image folder with classes `cat` and `dog`, two images in each of train and test."""

    def write(shape: tuple[int, ...] = (28, 28), suffix: str = "png", test: str = "test") -> Path:
        for part in ("train", test):
            for label in ("cat", "dog"):
                for number in range(2):
                    write_image(tmp_path / part / label / f"{number}.{suffix}", shape)
        return tmp_path

    return write
