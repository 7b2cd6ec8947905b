"""torchvision's ImageNet weights for VGG19's convolutions, the start of the authors' CIFAR-10 encoder.

Source: torchvision's `VGG19_Weights.IMAGENET1K_V1`; [D] they stand in for the weights
that the authors supply to their code.
"""

import hashlib
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from attacks.errors import DataError

_DOWNLOAD_MEGABYTES = 548
_TRUNK_PREFIX = "features."


def load_imagenet_vgg19(trunk: nn.Sequential) -> None:
    """Overwrite the weights of a VGG19 trunk without BatchNorm; downloads them the first time.

    Args:
        trunk: `vgg_trunk("E", batch_norm=False)`, changed in place.

    Raises:
        DataError: the weights cannot be fetched, or the stored copy is damaged.
    """
    from torchvision.models import VGG19_Weights  # type: ignore[import-untyped, unused-ignore]  # ships no types

    weights = VGG19_Weights.IMAGENET1K_V1
    stored = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    _refuse_damaged(stored)
    try:
        # weights_only: the file holds tensors; nothing else in it may be run.
        state = weights.get_state_dict(check_hash=True, weights_only=True, map_location="cpu")
        trunk.load_state_dict(
            {key.removeprefix(_TRUNK_PREFIX): value for key, value in state.items() if key.startswith(_TRUNK_PREFIX)}
        )
    # URLError and a broken connection, a wrong checksum, a file that is not what it should be
    except (OSError, HTTPException, RuntimeError, UnpicklingError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"cannot get torchvision's VGG19 weights ({_DOWNLOAD_MEGABYTES} MB from {weights.url}): "
            f"{reason}; connect to the network, or take --encoder-init scratch, which needs none"
        ) from error


def _refuse_damaged(stored: Path) -> None:
    # torch.hub checks a file as it downloads it and never again. The checksum's first digits end its name.
    if not stored.is_file():
        return
    with stored.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    if not checksum.startswith(stored.stem.rpartition("-")[2]):
        raise DataError(
            f"{stored} is damaged (wrong checksum); delete it to have it downloaded again "
            f"({_DOWNLOAD_MEGABYTES} MB), or take --encoder-init scratch, which needs none"
        )
