"""Table 2: pixels, estimated intrinsic dimension and embedding size of a dataset, beside the paper's.

Source: supplement, C.2 and Table 2. The paper estimates from 1,000 images and says that more change little: larger
samples are rows of their own.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.datasets.contract import Dataset
from bench.metrics.over_seeds import Estimate, estimate_mean
from bench.paper.comparison import decimal
from bench.paper.contract import ArtifactEntry, Column, Entry, Made, PaperTable, Row
from bench.paper.desk import Desk
from bench.paper.published import rows
from bench.paper.studies.intrinsic_dimension import intrinsic_dimension, sample_of
from bench.storage.store import Item
from defenses.networks.registry import FAMILIES

SAMPLE = 1000
LARGER_SAMPLES = (2000, 5000)
ABSENT = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSize:
    """What samples of one size give.

    estimates: one a seed, with `mean`, `inverse_mean` and `n`; keys: theirs in the store.
    """

    size: int
    estimates: tuple[dict[str, Any], ...]
    keys: tuple[str, ...]

    def over_seeds(self, way: str = "mean") -> Estimate:
        """The mean over seeds of one way to average over points."""
        return estimate_mean([estimate[way] for estimate in self.estimates])


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The paper's row. intrinsic_dim is rounded."""

    intrinsic_dim: int
    embedding_dim: int


def _make(desk: Desk) -> Made:
    dataset, seeds = desk.dataset, desk.request.seeds
    there = len(dataset.train)
    sizes = [min(SAMPLE, there), *(size for size in LARGER_SAMPLES if size <= there)]
    measured = []
    for size in sizes:
        studies = [_study(desk, dataset, size, seed) for seed in seeds]
        keys = tuple(desk.study_key(study) for study in studies)
        measured.append(SampleSize(size=size, estimates=tuple(study.details for study in studies), keys=keys))
    paper = _published(dataset.name)
    return Made(
        title="Pixel dimension, intrinsic dimension by maximum likelihood, and embedding size",
        table=PaperTable(columns=_COLUMNS, blocks=(tuple(_row(dataset, each, paper) for each in measured),)),
        data=tuple(_datum(dataset, each, number, seed) for each in measured for number, seed in enumerate(seeds)),
        findings=findings_of(dataset, measured, paper),
        counted="n " + ", ".join(f"{size:,}" for size in sizes) + " training images a seed",
        legend=(
            "Means over seeds, 95 % intervals; ours averages the estimates of all points, by inverses their inverses. "
            "Bold: beyond interval and rounding of the paper's"
        ),
        keys=tuple(key for each in measured for key in each.keys),
    )


def _study(desk: Desk, dataset: Dataset, size: int, seed: int) -> Item:
    identity = {"dataset": dataset.digest, "size": size, "seed": seed}

    def compute() -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, asdict(intrinsic_dimension(sample_of(dataset.train.pixels, size, seed)))

    return desk.study("intrinsic-dimension", identity, intrinsic_dimension, compute)


def _published(dataset: str) -> Published | None:
    found = [row for row in rows("table_2.csv") if row["dataset"] == dataset]
    return Published(**{name: int(found[0][name]) for name in ("intrinsic_dim", "embedding_dim")}) if found else None


_COLUMNS = (
    Column(title="Data"),
    Column(title="Images"),
    Column(title="Data dim."),
    Column(title="ours", groups=("Estimated intrinsic dim.",)),
    Column(title="paper", groups=("Estimated intrinsic dim.",)),
    Column(title="by inverses", groups=("Estimated intrinsic dim.",)),
    Column(title="ours", groups=("Embedding dim.",)),
    Column(title="paper", groups=("Embedding dim.",)),
)


def _row(dataset: Dataset, measured: SampleSize, paper: Published | None) -> Row:
    ours, embedding_dim = measured.over_seeds(), FAMILIES.get(dataset.family).embedding_dim
    is_papers_size = paper is not None and measured.size == SAMPLE
    differs = is_papers_size and paper is not None and _where(ours, paper.intrinsic_dim) in ("above", "below")
    return (
        Entry(text=dataset.name),
        Entry(text=f"{measured.size:,}"),
        Entry(text=" × ".join(map(str, dataset.image_shape))),
        Entry(text=decimal(ours, 1), bold=differs),
        Entry(text=str(paper.intrinsic_dim) if is_papers_size and paper else ABSENT),
        Entry(text=decimal(measured.over_seeds("inverse_mean"), 1)),
        Entry(text=str(embedding_dim), bold=paper is not None and embedding_dim != paper.embedding_dim),
        Entry(text=str(paper.embedding_dim) if paper else ABSENT),
    )


def _where(ours: Estimate, paper: int) -> str:
    """Where our interval lies to the numbers that round to the paper's; "unknown" for a single seed."""
    if ours.low is None or ours.high is None:
        return "unknown"
    if ours.high < paper - 0.5:
        return "below"
    return "above" if ours.low > paper + 0.5 else "equal"


def _datum(dataset: Dataset, measured: SampleSize, number: int, seed: int) -> dict[str, Any]:
    channels, height, width = dataset.image_shape
    paper, estimate = _published(dataset.name), measured.estimates[number]
    return {
        "dataset": dataset.name,
        "sample_size": measured.size,
        "seed": seed,
        "different_images": estimate["n"],
        "data_dim": channels * height * width,
        "intrinsic_dim": estimate["mean"],
        "intrinsic_dim_by_inverses": estimate["inverse_mean"],
        "paper_intrinsic_dim": paper.intrinsic_dim if paper and measured.size == SAMPLE else None,
        "embedding_dim": FAMILIES.get(dataset.family).embedding_dim,
        "paper_embedding_dim": paper.embedding_dim if paper else None,
    }


def findings_of(dataset: Dataset, measured: Sequence[SampleSize], paper: Published | None) -> tuple[str, ...]:
    """What the estimates say, in sentences: beside the paper's, averaged otherwise, and from larger samples."""
    first, there = measured[0], len(dataset.train)
    ours, inverses = first.over_seeds(), decimal(first.over_seeds("inverse_mean"), 1)
    return (
        _against_paper(ours, first.size, paper),
        f"Averaging inverses instead, as later versions of the code that the paper names do, gives {inverses}.",
        _of_larger_samples(measured, there),
        *_of_overlap(measured[-1].size, there),
        _of_er2(ours, FAMILIES.get(dataset.family).intrinsic_dim),
    )


def _against_paper(ours: Estimate, size: int, paper: Published | None) -> str:
    estimate = f"From {size:,} images the estimate is {decimal(ours, 1)}"
    if paper is None:
        return f"{estimate}; the paper has none for this dataset."
    said = f"the paper's {paper.intrinsic_dim}, which is rounded"
    words = {
        "equal": f", equal within the interval to {said}",
        "unknown": f" beside {said}; one seed gives no interval",
        "above": f", above {said}",
        "below": f", below {said}",
    }
    return f"{estimate}{words[_where(ours, paper.intrinsic_dim)]}."


def _of_larger_samples(measured: Sequence[SampleSize], there: int) -> str:
    first, last = (each.over_seeds().value for each in (measured[0], measured[-1]))
    if len(measured) == 1 or first is None or last is None:
        return f"The training split has {there:,} images, too few for samples of {LARGER_SAMPLES[0]:,} and more."
    return (
        f"From {measured[0].size:,} to {measured[-1].size:,} images the estimate changes by {last - first:+.1f} "
        f"({(last - first) / first:+.0%}); the paper says that larger samples change little."
    ).replace("-", "−")


def _of_overlap(size: int, there: int) -> list[str]:
    if size <= there / 2:
        return []
    return [f"Samples of {size:,} of {there:,} images share most of them, so their interval is too narrow."]


def _of_er2(ours: Estimate, chosen: int) -> str:
    assert ours.value is not None
    if round(ours.value) == chosen:
        return f"ER2's embedding has {chosen} dimensions: the estimate, rounded."
    return f"ER2's embedding has {chosen} dimensions, where the estimate rounds to {round(ours.value)}."


TABLE2 = ArtifactEntry(
    name="table2",
    summary="pixels, intrinsic dimension by maximum likelihood, and embedding size",
    source="supplement C.2, Table 2",
    families=frozenset(FAMILIES.names()),
    make=_make,
)
