"""What an implementation of attacks by another library is to the rest of the project.

A backend takes what a native attack takes and gives back images; what the library says of its success is not looked
at. Its results may depend on the batch (random numbers, early stopping), which the native ones never do.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from attacks.contract import Attack
from attacks.draws import Draws
from attacks.errors import RequestError
from attacks.probe import Probe
from attacks.worst import Worst


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendEntry:
    """A registered backend.

    name: the word a user types.
    summary: one line that says what it is.
    source: project and address.
    package: what must be installed; empty for our own.
    attacks: its version of a registered attack, by the attack's name.
    ignores: options of an attack's config that it has no use for, by the attack's name.
    known: what is known to make its results differ from ours, by the attack's name.
    """

    name: str
    summary: str
    source: str
    package: str = ""
    attacks: Mapping[str, Attack] = field(default_factory=dict)
    ignores: Mapping[str, frozenset[str]] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_installed(self) -> bool:
        """Whether its package can be imported."""
        return not self.package or find_spec(self.package) is not None

    @property
    def version(self) -> str:
        """Of the installed package; empty for our own, and for one that is not installed."""
        try:
            return version(self.package) if self.package else ""
        except PackageNotFoundError:
            return ""

    def attack(self, name: str, native: Attack) -> Attack:
        """Its version of the attack called `name`.

        Raises:
            RequestError: it has none, or its package is not installed.
        """
        if not self.package:
            return native
        if name not in self.attacks:
            raise RequestError(f"--backend {self.name} has no {name}; it has: {', '.join(self.attacks)}")
        if not self.is_installed:
            raise RequestError(f"--backend {self.name} is not installed: pip install 'erbench[backends]'")
        return self.attacks[name]


class ProbedModule(nn.Module):
    """A probe's model as the module that libraries want; it has one empty parameter, which says the device."""

    def __init__(self, probe: Probe, device: torch.device) -> None:
        super().__init__()
        self._logits_of = probe.forward
        self.place = nn.Parameter(torch.empty(0, device=device), requires_grad=False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) float32 in [0, 1] -> logits (n, classes) float32."""
        return self._logits_of(images)


@contextmanager
def seeded(draws: Draws, round_: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global generators, which libraries draw from, by the batch's first image; put them back."""
    first = int(draws.sample_ids[0]) if len(draws.sample_ids) else 0
    seed = draws.seed * 1_000_003 + first * 1009 + round_
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def worst_of_restarts(run: Callable[[int], Tensor], probe: Probe, images: Tensor, restarts: int) -> Tensor:
    """Each image's worst result of several runs, by margin: (n, c, h, w).

    Args:
        run: number of the restart -> (n, c, h, w).
        probe: the model, and the goal of each image.
        images: (n, c, h, w), clean.
        restarts: how often to run.
    """
    if restarts == 1:
        return run(0)
    rows, worst = torch.arange(len(images), device=images.device), Worst.of(images)
    for restart in range(restarts):
        crafted = run(restart)
        worst.keep(rows, crafted, probe.margin(crafted, rows, step=restart))
    return worst.images
