"""Reading many image files into one array with Pillow. A broken file is named, never skipped."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
GRAY_MODES = frozenset({"1", "L", "LA", "La"})  # Pillow's names; the rest has colour
CHUNK = 256  # files a task: long enough that handing out tasks costs nothing


class ImageSizeError(DataError):
    """An image has another size than it should have."""


def image_files(folder: Path) -> list[Path]:
    """The image files below `folder`, sorted; hidden ones and files of other kinds are passed over."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = (name for name in names if not name.startswith("."))
        found += [Path(place, name) for name in visible if name.lower().endswith(SUFFIXES)]
    return sorted(found)


def read_images(files: Sequence[Path], *, size: tuple[int, int], channels: int | None, resize: bool = False) -> Tensor:
    """Decode `files` in their order.

    Args:
        files: at least one image file.
        size: (height, width) in pixels of every image.
        channels: 1 or 3, what images are converted to; None gives 3 where any image has colour, else 1.
        resize: bring images of other sizes to `size` (bilinear, anti-aliased; proportions are not kept)
            instead of refusing them.

    Returns:
        (n, channels, height, width) uint8.

    Raises:
        ImageSizeError: an image has another size and `resize` is off.
        DataError: a file is missing, is no image, is cut off, or has more than 8 bits a channel.
    """
    pixels = np.empty((len(files), channels or 3, *size), dtype=np.uint8)

    def read_chunk(start: int) -> bool:
        any_colour = False
        for row, path in enumerate(files[start : start + CHUNK], start=start):
            image = read_image(path, channels, size if resize else None)
            if image.shape[1:] != size:
                found, wanted = (f"{width}x{height}" for height, width in (image.shape[1:], size))
                raise ImageSizeError(f"{path} has {found} pixels where {wanted} are expected")
            pixels[row] = image  # one channel spreads over three
            any_colour |= len(image) > 1
        return any_colour

    # A thumbnail is decoded in less time than threads take to hand each other Python's lock: 0.10 ms alone,
    # 0.14-0.20 ms with two to eight threads. Large images, which are the ones to resize, gain from them.
    with ThreadPoolExecutor(os.cpu_count() if resize else 1) as pool:
        any_colour = any(list(pool.map(read_chunk, range(0, len(files), CHUNK))))
    return torch.from_numpy(pixels if channels or any_colour else pixels[:, :1].copy())


def read_image(path: Path, channels: int | None, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode one file.

    Args:
        path: the file.
        channels: 1 or 3; None keeps gray gray and makes the rest 3 channels. Transparency is dropped.
        size: (height, width) to resize to; None keeps the file's.

    Returns:
        (channels, height, width).

    Raises:
        DataError: the file is missing, is no image, is cut off, or has more than 8 bits a channel.
    """
    from PIL import UnidentifiedImageError

    try:
        return _decode(path.read_bytes(), channels, size)
    except UnidentifiedImageError as error:
        raise DataError(f"cannot read the image {path}: not an image of a known format") from error
    except Exception as error:  # decoders raise almost anything on broken input
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0] or type(error).__name__
        raise DataError(f"cannot read the image {path}: {reason}") from error


def _decode(content: bytes, channels: int | None, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    from PIL import Image

    opened = Image.open(BytesIO(content))
    if opened.mode.startswith(("I", "F")):
        raise ValueError("it has more than 8 bits a channel; convert it to 8")
    gray = channels == 1 or (channels is None and opened.mode in GRAY_MODES)
    mode = "L" if gray else "RGB"
    if size is not None:
        opened.draft(mode, size[::-1])  # lets JPEG decode at a fraction of its size, which is much quicker
    image = opened if opened.mode == mode else opened.convert(mode)
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    rows = np.asarray(image)  # (height, width) or (height, width, 3)
    return rows[np.newaxis] if gray else rows.transpose(2, 0, 1)
