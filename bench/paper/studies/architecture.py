"""What a network is made of: counted from its modules, written in the paper's notation, and read from it.

Source: supplement, G (Tables 7 and 8). VGG19's layers: Simonyan and Zisserman 2014, arXiv:1409.1556, Table 1,
configuration E.
"""

import re
from dataclasses import dataclass, fields, replace

from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What the paper's notation tells of a network.

    convolutions, max_pools, fully_connected: how many layers.
    normed_convolutions, normed_fully_connected: "with BN", whether BatchNorm stands between them.
    """

    convolutions: int = 0
    normed_convolutions: bool = False
    max_pools: int = 0
    fully_connected: int = 0
    normed_fully_connected: bool = False

    def __str__(self) -> str:
        """As the paper writes it: "6Conv. with BN and 5Max.Pool + 4FC"."""
        parts = []
        if self.convolutions:
            pools = f" and {self.max_pools}Max.Pool" if self.max_pools else ""
            parts.append(f"{self.convolutions}Conv.{' with BN' if self.normed_convolutions else ''}{pools}")
        if self.fully_connected:
            parts.append(f"{self.fully_connected}FC{' with BN' if self.normed_fully_connected else ''}")
        return " + ".join(parts)

    def differences(self, other: "Architecture") -> tuple[str, ...]:
        """Names of the fields in which two architectures differ."""
        names = (field.name for field in fields(self))
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCounts:
    """How many modules of each kind a network holds, each module once.

    convolutions: two-dimensional, the strided ones that compute as a linear layer among them.
    convolution_norms, fully_connected_norms: BatchNorm over (n, c, h, w) and over (n, d).
    parameters: trained numbers; running statistics are none.
    """

    convolutions: int
    convolution_norms: int
    max_pools: int
    fully_connected: int
    fully_connected_norms: int
    dropouts: int
    parameters: int

    @property
    def architecture(self) -> Architecture:
        """As much of it as the paper's notation tells."""
        return Architecture(
            convolutions=self.convolutions,
            normed_convolutions=self.convolution_norms > 0,
            max_pools=self.max_pools,
            fully_connected=self.fully_connected,
            normed_fully_connected=self.fully_connected_norms > 0,
        )


_KINDS: dict[str, type[nn.Module]] = {
    "convolutions": nn.Conv2d,  # also `defenses.networks.convolution.Convolution2d`, which is one by inheritance
    "convolution_norms": nn.BatchNorm2d,
    "max_pools": nn.MaxPool2d,
    "fully_connected": nn.Linear,
    "fully_connected_norms": nn.BatchNorm1d,
    "dropouts": nn.Dropout,
}


def count_layers(network: nn.Module) -> LayerCounts:
    """Count a network's modules by kind; a module that stands in several places counts once, as its weights do."""
    modules = list(network.modules())
    counts = {name: sum(isinstance(module, kind) for module in modules) for name, kind in _KINDS.items()}
    return LayerCounts(parameters=sum(parameter.numel() for parameter in network.parameters()), **counts)


_NORMED = r"(?P<normed> with BN)?"
_CONVOLUTIONS = re.compile(rf"(?P<count>\d+)Conv\.{_NORMED}(?: and (?P<pools>\d+)Max\.Pool)?")
_FULLY_CONNECTED = re.compile(rf"(?P<count>\d+|four) ?(?:FC|fully connected)(?: layers)?{_NORMED}")
_VGG19 = re.compile(rf"VGG19{_NORMED}")
_NUMBERS = {"four": 4}


def read_architecture(text: str) -> Architecture:
    """What the paper's words say of a network; what they do not name, it has not.

    Args:
        text: parts joined by "+", as in Tables 7 and 8.

    Raises:
        ValueError: a part is in no form that the paper uses.
    """
    read = Architecture()
    for part in (part.strip() for part in text.split("+")):
        if match := _CONVOLUTIONS.fullmatch(part):
            count, normed, pools = int(match["count"]), match["normed"] is not None, int(match["pools"] or 0)
            read = replace(read, convolutions=count, normed_convolutions=normed, max_pools=pools)
        elif match := _FULLY_CONNECTED.fullmatch(part):
            count, normed = _NUMBERS.get(match["count"]) or int(match["count"]), match["normed"] is not None
            read = replace(read, fully_connected=count, normed_fully_connected=normed)
        elif match := _VGG19.fullmatch(part):
            normed = match["normed"] is not None
            read = replace(read, convolutions=16, normed_convolutions=normed, max_pools=5, fully_connected=3)
        else:
            raise ValueError(f"'{part}' in '{text}' says nothing of layers that can be read")
    return read
