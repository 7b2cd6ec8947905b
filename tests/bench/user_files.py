"""Files such as a user brings: a network in Python, its layers built here again, and how a load of them ends."""

from pathlib import Path

import pytest
import torch
from torch import nn

from attacks.errors import ErbenchError
from bench.user_models.user_model import UserModel, load_user_model

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.hidden = nn.Linear(4, 5)
        self.drop = nn.Dropout()
        self.head = nn.Linear(5, classes)

    def forward(self, images):
        return self.head(self.drop(self.hidden(images.flatten(1)).relu()))

def make_model():
    return Net()

def wants(depth, *, width, height=3, **others):
    return Net()

def gives_nothing():
    Net()

def gives_weights():
    return Net().state_dict()

def gives_class():
    return Net

def lazy():
    return nn.LazyLinear(3)

ready = Net()
number = 3
"""


class Same(nn.Module):
    """The layers of `Net`."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 5)
        self.head = nn.Linear(5, 3)


def write(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def refusal(kind: type[ErbenchError], source: str, weights: Path | None = None) -> str:
    """The one line that a load ends in."""
    with pytest.raises(kind) as caught:
        load_user_model(source, weights)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def holds(model: UserModel, state: dict[str, torch.Tensor]) -> bool:
    own = model.module.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[name], state[name]) for name in own)
