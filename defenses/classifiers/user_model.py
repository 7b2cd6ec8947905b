"""The user's own model: it comes trained, so there is nothing to configure, build or train.

Source: ours.
"""

from dataclasses import dataclass
from typing import NoReturn

from attacks.errors import RequestError
from defenses.contract import BuildRequest, ClassifierEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class UserModelConfig:
    """What a user's model is, whatever folder it lies in.

    file, factory: names of the Python file and of the function in it that gives the module.
    source_digest: SHA-256 of the file, as hex.
    state_digest: SHA-256 over the names, shapes and values of all weights, as hex.
    """

    file: str
    factory: str
    source_digest: str
    state_digest: str


def _configure(_request: BuildRequest) -> NoReturn:
    raise RequestError("--defense model needs --model FILE.py:FACTORY, and mostly --weights FILE too")


USER_MODEL = ClassifierEntry(
    name="model",
    summary="your own torch.nn.Module: --model FILE.py:FACTORY --weights FILE",
    source="yours",
    configure=_configure,
)
