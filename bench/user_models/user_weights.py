"""Weights that a user brings: read without unpickling, put into a module, and known by a digest."""

import hashlib
import logging
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from attacks.errors import DataError
from bench.user_models.user_code import told

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
PARALLEL = "module."  # what nn.DataParallel puts before every name
MOST_NAMED = 3
RECIPE = """Nothing is unpickled here; where you trust the file, turn it into safetensors and give that:
    model = torch.load("{file}", weights_only=False)  # for a checkpoint, take the model or its state dict out of it
    safetensors.torch.save_file(model.state_dict(), "weights.safetensors")"""
log = logging.getLogger("erbench")


def read_weights(path: Path) -> dict[str, Any]:
    """A state dict on the CPU, tensors by name, from a .safetensors file or one that `torch.save` wrote.

    A state dict that lies in a checkpoint under one of `WRAPPERS` is taken out of it.

    Raises:
        DataError: the file is absent, empty, damaged, of another format, holds no state dict, or wants pickle.
    """
    if path.suffix not in SUFFIXES:
        raise DataError(f"weights come as {', '.join(SUFFIXES)}, not as {path.name}")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise DataError(f"cannot read the weights {path}: {error.strerror or error}") from error
    if not head:
        raise DataError(f"the weights {path} are an empty file; save them again")
    return _state_dict(_read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path, head), path)


def put_weights(module: nn.Module, state: dict[str, Any], path: Path) -> None:
    """Copy a state dict, read from `path`, into a module in place.

    The prefix of `nn.DataParallel` is taken off the names where all have it and the module's own do not.

    Raises:
        DataError: names or shapes do not fit.
    """
    own = module.state_dict()
    if all(name.startswith(PARALLEL) for name in state) and not any(name.startswith(PARALLEL) for name in own):
        log.info("%s: every name starts with '%s', which is taken off", path.name, PARALLEL)
        state = {name.removeprefix(PARALLEL): value for name, value in state.items()}
    try:
        module.load_state_dict(state)
    except Exception as error:
        reason = _misfits(own, state) or told(error)
        raise DataError(f"the weights {path.name} do not fit the model: {reason}") from error


def state_digest(module: nn.Module) -> str:
    """SHA-256 over a module's state dict: names, dtypes, shapes and bytes, in the order of the names; as hex."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(repr((name, str(value.dtype), tuple(value.shape))).encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr((name, value)).encode())
    return digest.hexdigest()


def _read_safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(f"the weights {path} are damaged or no safetensors file: {error}") from error


def _read_torch(path: Path, head: bytes) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes make the reader stumble in every way
        if "TorchScript" in str(error):
            raise DataError(
                f"{path.name} is a TorchScript program, not weights; "
                f"let the factory return torch.jit.load('{path.name}') and leave out --weights"
            ) from error
        if isinstance(error, UnpicklingError) and head.startswith((b"PK\x03\x04", b"\x80")):  # a zip file, a pickle
            wanted = re.search(r"GLOBAL (\w\S*)", str(error))
            what = f" (it asks for {wanted[1]})" if wanted else ""
            raise DataError(
                f"the weights {path.name} need pickle{what}, which can run any code. {RECIPE.format(file=path.name)}"
            ) from error
        raise DataError(f"the weights {path} are damaged or not what torch.save wrote; save them again") from error


def _state_dict(held: Any, path: Path) -> dict[str, Any]:
    """The state dict that a file holds, at its top or under one of `WRAPPERS`."""
    if not isinstance(held, Mapping):
        raise DataError(f"the weights {path.name} hold a {type(held).__name__}, not a state dict")
    for wrapper in WRAPPERS:
        if isinstance(held.get(wrapper), Mapping):
            log.info("%s: the state dict under '%s' is taken", path.name, wrapper)
            return _state_dict(held[wrapper], path)
    if not any(isinstance(value, Tensor) for value in held.values()):
        raise DataError(
            f"the weights {path.name} hold no state dict but {_named(list(held)) or 'nothing'}; "
            f"save model.state_dict(), alone or under {', '.join(WRAPPERS)}"
        )
    return {str(name): value for name, value in held.items()}


def _misfits(own: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """What keeps a state dict from fitting a module's own; empty where names and shapes agree."""
    shapes = [(name, _shape(state[name]), _shape(value)) for name, value in own.items() if name in state]
    misfits = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": [f"{name} {given} for {wanted}" for name, given, wanted in shapes if given != wanted],
    }
    return "; ".join(f"{what} {_named(names)}" for what, names in misfits.items() if names)


def _shape(value: Any) -> str:
    """A tensor's shape; what else it is for anything that has none."""
    return str(tuple(value.shape)) if isinstance(value, Tensor) and not is_lazy(value) else type(value).__name__


def _named(names: list[Any]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(str(name) for name in names[:MOST_NAMED]) + more
