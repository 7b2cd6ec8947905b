"""The state of a training's parts: what must be kept for it to go on later as if nothing had come between.

A state is nested dicts and lists of tensors, numbers, strings and None; dict keys are strings. Its tensors are the
parts' own, which the next batch changes: whoever keeps a state copies or writes it at once.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

State = dict[str, Any]


class Stateful(Protocol):
    """Something whose state can be kept: a module, a schedule, or one of the classes below."""

    def state_dict(self) -> State:
        """What it holds now."""

    def load_state_dict(self, state_dict: State) -> Any:
        """Hold what is given instead, in the memory layout and on the device of now."""


def states_of(parts: Mapping[str, Stateful]) -> State:
    """The state of each part, by its name."""
    return {name: part.state_dict() for name, part in parts.items()}


def load_states(parts: Mapping[str, Stateful], states: State) -> None:
    """Give every part its state.

    Raises:
        Whatever a part raises at a state that is not its own, among them KeyError, TypeError, ValueError and
        RuntimeError; some parts may then hold the new state and some the old one.
    """
    for name, part in parts.items():
        part.load_state_dict(states[name])


class OptimizerState:
    """An optimizer as a `Stateful`: string keys, and moments laid out like the parameters they belong to.

    PyTorch's own `load_state_dict` keeps the layout of the tensors it is given; beside channels-last parameters these
    would leave the quick path of fused Adam.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    def state_dict(self) -> State:
        """Groups (learning rates and the like) and, by the parameter's number, moments and step counts."""
        held = self._optimizer.state_dict()
        return {"groups": held["param_groups"], "moments": {str(key): value for key, value in held["state"].items()}}

    def load_state_dict(self, state_dict: State) -> None:
        """Go on from another optimizer's state over parameters of the same shapes."""
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        moments = {
            int(key): {name: _laid_out_like(parameters[int(key)], value) for name, value in values.items()}
            for key, values in state_dict["moments"].items()
        }
        self._optimizer.load_state_dict({"param_groups": state_dict["groups"], "state": moments})


def _laid_out_like(parameter: Tensor, value: Any) -> Any:
    """A copy of a tensor, in the parameter's layout where it has the parameter's shape; other values as they are."""
    if not isinstance(value, Tensor):
        return value
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


class GeneratorState:
    """A generator as a `Stateful`."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def state_dict(self) -> State:
        """Where the generator stands, as uint8."""
        return {"state": self._generator.get_state()}

    def load_state_dict(self, state_dict: State) -> None:
        """Draw next what would have been drawn then."""
        self._generator.set_state(state_dict["state"])


class GlobalDraws:
    """PyTorch's global generators as a `Stateful`: dropout draws from the one of its device and takes no other."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def state_dict(self) -> State:
        """Where they stand, as uint8; "cuda" is None for a network on the CPU."""
        cuda = torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state_dict: State) -> None:
        """Let dropout draw next what it would have drawn then."""
        torch.set_rng_state(state_dict["cpu"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state_dict["cuda"], self._device)
