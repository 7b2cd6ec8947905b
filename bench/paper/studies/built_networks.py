"""Every family's networks, built and counted part by part, each with the paper's words for it.

Source: supplement, G (Tables 7 and 8) and Table 2 (both embedding sizes).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from bench.paper.studies.architecture import LayerCounts, count_layers, read_architecture
from defenses.networks.family import NetworkFamily
from defenses.networks.registry import build_baseline, build_discriminator, build_er_network

_CLASSES = {"tiny-imagenet": 200}  # supplement, C.1; every other dataset has 10
_SEED = 0  # of the weights, whose number does not depend on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A network, or a part of one, as it is built.

    family: name of the network family.
    name: "baseline", "encoder", "classifier" or "discriminator".
    embedding_dim: the size it was built for; None for the baseline network, which has no embedding.
    paper: the paper's words for it; "" where the paper has no such dataset.
    """

    family: str
    name: str
    embedding_dim: int | None = None
    counts: LayerCounts
    paper: str

    @property
    def differences(self) -> tuple[str, ...]:
        """In what it differs from the paper's words, as names of `Architecture`'s fields."""
        return self.counts.architecture.differences(read_architecture(self.paper)) if self.paper else ()


def classes_of(family: NetworkFamily) -> int:
    """How many classes the dataset of a family has."""
    return _CLASSES.get(family.name, 10)


def baseline_parts(family: NetworkFamily, paper: Mapping[str, str]) -> list[Part]:
    """The baseline network as one part, as Table 7 has it; paper: its words by the part's name."""
    network = build_baseline(family.name, classes=classes_of(family), seed=_SEED)
    return [_part(family, "baseline", network, paper)]


def er_parts(family: NetworkFamily, paper: Mapping[str, str]) -> list[Part]:
    """The ER network's parts, at the final embedding size first and then at the intrinsic one; paper: as above."""
    parts = []
    for dim in (family.embedding_dim, family.intrinsic_dim):
        network = build_er_network(family.name, classes=classes_of(family), embedding_dim=dim, seed=_SEED)
        parts += [
            _part(family, "encoder", network.encoder, paper, dim),
            _part(family, "classifier", network.head, paper, dim),
            _part(family, "discriminator", build_discriminator(dim, seed=_SEED), paper, dim),
        ]
    return parts


def _part(
    family: NetworkFamily, name: str, module: nn.Module, words: Mapping[str, str], dim: int | None = None
) -> Part:
    counts = count_layers(module)
    return Part(family=family.name, name=name, embedding_dim=dim, counts=counts, paper=words.get(name, ""))
