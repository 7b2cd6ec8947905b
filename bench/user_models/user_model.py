"""A user's own network: made by a factory in a Python file of theirs, filled with their weights, known by digests.

Source: ours. The file is run as it is, like any program that the user starts; weights are never unpickled.
"""

import hashlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from attacks.errors import ModelError, RequestError
from attacks.registration import unknown_name
from bench.canonical import content_hash
from bench.fitting import FittedClassifier
from bench.spec import ClassifierSpec
from bench.user_models.user_code import import_file, neighborhood, told_in_one_line
from bench.user_models.user_weights import put_weights, read_weights, state_digest
from defenses.classifiers.user_model import USER_MODEL, UserModelConfig

EXAMPLE = "for example --model my_model.py:make_model"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserModel:
    """A network that a user brought.

    module: on the CPU, in eval mode, its parameters frozen.
    file: name of the Python file, without its folder.
    factory: name in the file that made or is the network.
    source_digest: SHA-256 of the file's bytes, followed by those of the files it imported from its folder; as hex.
    state_digest: SHA-256 over the state dict's names, dtypes, shapes and bytes; as hex.
    """

    module: nn.Module
    file: str
    factory: str
    source_digest: str
    state_digest: str

    def spec(self, family: str) -> ClassifierSpec:
        """What names it in a run: its file, factory and digests, wherever it lies."""
        config = UserModelConfig(
            file=self.file, factory=self.factory, source_digest=self.source_digest, state_digest=self.state_digest
        )
        return ClassifierSpec(name=USER_MODEL.name, family=family, config=config, n_train=0, seed=0)

    def fitted(self, device: torch.device) -> FittedClassifier:
        """As a classifier that needs no fitting, on `device`."""
        key = content_hash([self.source_digest, self.factory, self.state_digest])
        return FittedClassifier(classifier=self.module.to(device), key=key, history=[])


def parse_model(text: str) -> tuple[Path, str]:
    """Split "path/to/file.py:factory" into the file and the name; `RequestError` unless there is such a file."""
    name, colon, factory = text.rpartition(":")
    path = Path(name)
    if not colon or not name:
        raise RequestError(f"--model wants a file, a colon and a name in it, {EXAMPLE}; got '{text}'")
    if not factory.isidentifier():
        raise RequestError(f"--model wants a plain name after the colon, {EXAMPLE}; got '{factory}'")
    if path.is_dir():
        raise RequestError(f"--model wants a Python file, {EXAMPLE}; {path} is a folder")
    if path.suffix != ".py":
        raise RequestError(f"--model wants a file that ends in .py, {EXAMPLE}; got {path}")
    if not path.is_file():
        raise RequestError(f"--model wants a Python file, {EXAMPLE}; there is no {path}")
    return path, factory


def load_user_model(source: str, weights: Path | None) -> UserModel:
    """Run the user's file, call the factory with PyTorch's generator at seed 0, fill in the weights.

    Args:
        source: "path/to/file.py:factory"; a function or class that needs no arguments, or an `nn.Module` itself.
        weights: a .safetensors, .pt, .pth or .bin file; None keeps the weights that the factory gave.

    Raises:
        RequestError: there is no such file or factory.
        ModelError: the user's code raised an exception, or made something else than a network.
        DataError: the weights cannot be read without pickle, or do not fit.
    """
    path, factory = parse_model(source)
    state = read_weights(weights) if weights else {}
    try:
        code = path.read_bytes()
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror or error}") from error
    with neighborhood(path.resolve().parent) as neighbors:
        with torch.random.fork_rng(devices=[]):  # so that random first weights are the same ones every time
            torch.manual_seed(0)
            module = _make(import_file(path, code), factory, path.name)
        if weights:
            put_weights(module, state, weights)
        _require_shapes(module)
        with told_in_one_line(f"{factory} in {path.name} made a model that cannot be used"):
            _settle(module)
            digest = state_digest(module)
    return UserModel(
        module=module,
        file=path.name,
        factory=factory,
        source_digest=hashlib.sha256(b"".join([code, *(file.read_bytes() for file in neighbors)])).hexdigest(),
        state_digest=digest,
    )


def _make(namespace: ModuleType, factory: str, file: str) -> nn.Module:
    """The network that `factory` is or returns."""
    if factory not in vars(namespace):
        own = _makers(namespace)
        reason = unknown_name("factory", factory, own) if own else f"it defines no function or model, so no '{factory}'"
        raise RequestError(f"{file}: {reason}")
    found = vars(namespace)[factory]
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise ModelError(f"{factory} in {file} is {_article(found)}, neither a function nor an nn.Module")
    if wanted := _required(found):
        raise ModelError(
            f"{factory} in {file} wants arguments ({', '.join(wanted)}) but is called without any; "
            "give them defaults, or name a function that fills them in"
        )
    with told_in_one_line(f"{factory} in {file} failed"):
        made = found()
    if not isinstance(made, nn.Module):
        raise ModelError(f"{factory} in {file} must return an nn.Module; it returned {_article(made)}")
    return made


def _makers(namespace: ModuleType) -> list[str]:
    """Names of the functions, classes and networks that a file defines itself."""
    return [
        name
        for name, value in vars(namespace).items()
        if isinstance(value, nn.Module) or (callable(value) and getattr(value, "__module__", "") == namespace.__name__)
    ]


def _required(factory: Any) -> list[str]:
    """Names of the arguments without which a callable cannot be called."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # written in C, without a signature
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in optional]


def _require_shapes(module: nn.Module) -> None:
    """Raise `ModelError` when a lazy layer has not seen its input yet."""
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(value):
            raise ModelError(f"the model's {name} has no shape yet; call the model once in the factory")


def _settle(module: nn.Module) -> None:
    """Bring a network to the CPU, put it into eval mode and freeze it, in place."""
    module.cpu()
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)


def _article(value: Any) -> str:
    """What a value is, for a message."""
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    return "None" if value is None else f"an object of type {type(value).__name__}"
