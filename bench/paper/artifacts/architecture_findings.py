"""What Tables 7 and 8 say in sentences: where our networks are not the paper's in words, and which decision made it so.

Source: supplement, G; the author's training code, where it says more than the tables.
"""

from collections import defaultdict
from collections.abc import Sequence

from bench.paper.studies.architecture import read_architecture
from bench.paper.studies.built_networks import Part

# By family, part and what differs. A difference that has no reason here is said to have none.
_REASONS = {
    ("mnist", "baseline", "max_pools"): "they stand where Carlini and Wagner's network has them (arXiv:1608.04644, "
    "Table 1), whose widths ours takes because Table 7 gives none",
    ("cifar10", "encoder", "normed_convolutions"): "ours is trained from scratch, and 16 convolutions hardly train so "
    "without it; --encoder-init imagenet takes pretrained ones that have none, as the author's code does",
    ("cifar10", "encoder", "max_pools"): "the 16 convolutions are VGG19's, in the author's code too, and stand in five "
    "pooled blocks",
    (
        "stl10",
        "classifier",
        "normed_fully_connected",
    ): "the author's code gives STL-10 the classifier of MNIST, for which Table 8 names it",
}
_OUTPUT_LEFT_OUT = "the author's code has four hidden layers and one output behind them, which these words leave out"
_NO_REASON = "no decision of ours explains the difference"
_NAMES = {
    "convolutions": "convolutions",
    "normed_convolutions": "BatchNorm between convolutions",
    "max_pools": "max-poolings",
    "fully_connected": "fully connected layers",
    "normed_fully_connected": "BatchNorm between fully connected layers",
}


def findings_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """Sentences on the parts of all families, at one size: how many agree, differences with reasons, and the rest."""
    named = [part for part in parts if part.paper]
    agreeing = sum(not part.differences for part in named)
    findings = [f"{agreeing} of {len(named)} networks or parts of them have exactly the layers that the paper names."]
    findings += [_difference(part, name) for part in named for name in part.differences if part.name != "discriminator"]
    return (*findings, *_discriminators(parts), *_partly_normed(parts), *_unnamed(parts))


def _difference(part: Part, name: str) -> str:
    ours, theirs = getattr(part.counts.architecture, name), getattr(read_architecture(part.paper), name)
    if isinstance(ours, bool):
        words = f"has {_NAMES[name]}, which the paper does not name" if ours else f"lacks the paper's {_NAMES[name]}"
    else:
        words = f"has {ours or 'no'} {_NAMES[name]} where the paper names {theirs or 'none'}"
    reason = _REASONS.get((part.family, part.name, name), _NO_REASON)
    return f"The {part.name} of {part.family} {words}: {reason}."


def _discriminators(parts: Sequence[Part]) -> list[str]:
    """One sentence for all discriminators of one architecture, which differ in their input alone."""
    alike = defaultdict(list)
    for part in parts:
        if part.name == "discriminator":
            alike[part.counts.architecture].append(part)
    findings = []
    for architecture, same in alike.items():
        sizes = ", ".join(f"{part.counts.parameters:,} ({part.family})" for part in same)
        findings.append(f"The discriminator is {architecture}; its parameters: {sizes}.")
        words = next((part.paper for part in same if part.differences), "")
        if words:
            lacking = architecture.fully_connected - read_architecture(words).fully_connected
            reason = _OUTPUT_LEFT_OUT if lacking == 1 else _NO_REASON
            findings.append(f'The paper gives the discriminator "{words}": {reason}.')
    return findings


def _partly_normed(parts: Sequence[Part]) -> list[str]:
    partly = [part for part in parts if 0 < part.counts.convolution_norms < part.counts.convolutions]
    told = ", ".join(
        f"{part.counts.convolution_norms} of {part.counts.convolutions} ({part.family})" for part in partly
    )
    return [f"Convolutions with BatchNorm, the author's code leaving out the first: {told}."] if partly else []


def _unnamed(parts: Sequence[Part]) -> list[str]:
    """Families that the paper does not have, and those of the paper's whose layers they share."""
    layers: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        layers[part.family].append(str(part.counts.architecture))
    papers = {part.family for part in parts if part.paper}
    findings = []
    for family in layers.keys() - papers:
        same = [other for other in sorted(papers) if layers[other] == layers[family]]
        likeness = f"; its networks have the layers of {' and '.join(same)}" if same else ""
        findings.append(f"The paper has no {family}{likeness}.")
    return findings
