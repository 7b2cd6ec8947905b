"""Tables 7 and 8: the networks as they are built, counted from their modules, beside the paper's words.

Source: supplement, G (Tables 7 and 8) and Table 2 (both embedding sizes).
"""

from dataclasses import asdict
from typing import Any

from bench.code_version import code_version
from bench.paper.artifacts.architecture_findings import findings_of
from bench.paper.contract import ArtifactEntry, Column, Entry, Made, PaperTable, Row
from bench.paper.desk import Desk
from bench.paper.published import rows
from bench.paper.studies.built_networks import Part, baseline_parts, classes_of, er_parts
from defenses.networks.registry import FAMILIES, build_baseline, build_discriminator, build_er_network

_TABLE7_COLUMNS = (
    Column(title="Networks"),
    Column(title="Images"),
    Column(title="ours", groups=("Baseline network",)),
    Column(title="paper", groups=("Baseline network",)),
    Column(title="Parameters"),
)
_TABLE8_COLUMNS = (
    Column(title="Networks"),
    Column(title="Images"),
    Column(title="ours", groups=("Encoder",)),
    Column(title="paper", groups=("Encoder",)),
    Column(title="ours", groups=("Classifier",)),
    Column(title="paper", groups=("Classifier",)),
    Column(title="final", groups=("Embedding",)),
    Column(title="intrinsic", groups=("Embedding",)),
    Column(title="encoder", groups=("Parameters",)),
    Column(title="classifier", groups=("Parameters",)),
)


def _table7(_desk: Desk) -> Made:
    paper = {row["dataset"]: row for row in rows("table_7.csv")}
    parts = [part for family in FAMILIES for part in baseline_parts(family, paper.get(family.name, {}))]
    return Made(
        title="Architectures of baseline networks, counted from the modules",
        table=PaperTable(columns=_TABLE7_COLUMNS, blocks=(tuple(_table7_row(part) for part in parts),)),
        data=tuple(_datum(part) for part in parts),
        findings=findings_of(parts),
        counted=f"{len(parts)} networks",
        legend="Bold differs from the paper's words; – where it has no such dataset",
        keys=(code_version(build_baseline),),
    )


def _table7_row(part: Part) -> Row:
    return (Entry(text=part.family), Entry(text=_shape(part)), *_beside(part), Entry(text=_parameters(part)))


def _table8(_desk: Desk) -> Made:
    paper = {row["dataset"]: row for row in rows("table_8.csv")}
    built = {family.name: er_parts(family, paper.get(family.name, {})) for family in FAMILIES}
    final = [part for name, parts in built.items() for part in parts if part.embedding_dim == _sizes(name)[0]]
    return Made(
        title="Architectures of the ER-Classifier, counted from the modules; parameters at the final embedding size",
        table=PaperTable(columns=_TABLE8_COLUMNS, blocks=(tuple(_table8_row(final, name) for name in built),)),
        data=tuple(_datum(part) for parts in built.values() for part in parts),
        findings=findings_of(final),
        counted=f"{len(built)} networks at two embedding sizes each",
        legend="Bold differs from the paper's words; – where it has no such dataset",
        keys=(code_version(build_er_network, build_discriminator),),
    )


def _table8_row(parts: list[Part], family: str) -> Row:
    by_name = {part.name: part for part in parts if part.family == family}
    encoder, classifier = by_name["encoder"], by_name["classifier"]
    sizes = tuple(Entry(text=str(size)) for size in _sizes(family))
    counts = (Entry(text=_parameters(encoder)), Entry(text=_parameters(classifier)))
    return (Entry(text=family), Entry(text=_shape(encoder)), *_beside(encoder), *_beside(classifier), *sizes, *counts)


def _beside(part: Part) -> tuple[Entry, Entry]:
    ours = Entry(text=str(part.counts.architecture), bold=bool(part.differences))
    return ours, Entry(text=part.paper or "–")


def _parameters(part: Part) -> str:
    return f"{part.counts.parameters:,}"


def _shape(part: Part) -> str:
    return "×".join(str(size) for size in FAMILIES.get(part.family).image_shape)


def _sizes(family: str) -> tuple[int, int]:
    """The final and the intrinsic embedding size."""
    return FAMILIES.get(family).embedding_dim, FAMILIES.get(family).intrinsic_dim


def _datum(part: Part) -> dict[str, Any]:
    family = FAMILIES.get(part.family)
    channels, height, width = family.image_shape
    return {
        "family": part.family,
        "part": part.name,
        "embedding_dim": part.embedding_dim,
        "channels": channels,
        "height": height,
        "width": width,
        "classes": classes_of(family),
        **asdict(part.counts),
        "ours": str(part.counts.architecture),
        "paper": part.paper or None,
        "differs_in": " ".join(part.differences) if part.paper else None,
    }


TABLE7 = ArtifactEntry(
    name="table7",
    summary="architectures of the baseline networks as built, for every family of networks",
    source="supplement G, Table 7",
    has_seeds=False,
    make=_table7,
)
TABLE8 = ArtifactEntry(
    name="table8",
    summary="architectures of the ER-Classifier's encoder, classifier and discriminator as built",
    source="supplement G, Table 8",
    has_seeds=False,
    make=_table8,
)
