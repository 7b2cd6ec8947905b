"""Table 2: the estimator on points of known dimension and against its formula, and the artifact on digits."""

import csv
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from small_runs import workspace_in
from torch import Generator, Tensor

from attacks.errors import DataError
from bench.datasets.contract import Dataset, LoadRequest, Split, digest_of
from bench.datasets.registry import load_dataset
from bench.paper.artifacts.table2 import TABLE2, Published, SampleSize, findings_of
from bench.paper.contract import PaperRequest
from bench.paper.desk import Desk
from bench.paper.missing import MissingError
from bench.paper.studies.intrinsic_dimension import intrinsic_dimension, sample_of


def points_of(dimension: int, n: int = 1000) -> Tensor:
    """Gaussian points on a linear subspace of 784 dimensions."""
    generator = Generator().manual_seed(0)
    return torch.randn(n, dimension, generator=generator) @ torch.randn(dimension, 784, generator=generator)


def by_the_formula(points: np.ndarray) -> tuple[float, float]:
    """Levina and Bickel's equation 8 with k - 2, over k = 6 to 12: the mean over points, and that of inverses."""
    distances = np.sort(cdist(points, points), axis=1)[:, 1:]  # without the point itself
    means, inverse_means = [], []
    for k in range(6, 13):
        inverse = [sum(np.log(near[k - 1] / near[j]) for j in range(k - 1)) / (k - 2) for near in distances]
        means.append(np.mean(1 / np.array(inverse)))
        inverse_means.append(1 / np.mean(inverse))
    return float(np.mean(means)), float(np.mean(inverse_means))


def test_points_on_a_subspace_have_its_dimension() -> None:
    assert intrinsic_dimension(points_of(5)).mean == pytest.approx(5, abs=0.3)
    assert intrinsic_dimension(points_of(2)).mean == pytest.approx(2, abs=0.15)


def test_the_estimate_is_the_formulas() -> None:
    points = points_of(5, n=150).double()
    estimate = intrinsic_dimension(points)
    assert (estimate.mean, estimate.inverse_mean) == pytest.approx(by_the_formula(points.numpy()), rel=1e-9)
    assert estimate.inverse_mean < estimate.mean - 0.1
    assert intrinsic_dimension(255 * points).mean == pytest.approx(estimate.mean)


def test_copies_count_once() -> None:
    points = points_of(5, n=150)
    copied = torch.cat([points, points[:40], points[:1].expand(20, -1)])
    # in another order, so that sums are rounded otherwise
    assert intrinsic_dimension(copied).mean == pytest.approx(intrinsic_dimension(points).mean)
    assert intrinsic_dimension(copied).n == 150


def test_too_few_different_points_are_refused() -> None:
    with pytest.raises(DataError, match="12 different images are too few"):
        intrinsic_dimension(points_of(5, n=12).repeat(10, 1))


def test_samples_are_drawn_without_replacement_and_by_seed() -> None:
    pixels = torch.arange(60, dtype=torch.uint8).reshape(20, 1, 1, 3)
    sample = sample_of(pixels, 15, seed=0)
    assert sample.shape == (15, 3)
    assert len(sample.unique(dim=0)) == 15
    assert torch.equal(sample, sample_of(pixels, 15, seed=0))
    assert not torch.equal(sample, sample_of(pixels, 15, seed=1))


def test_mnist_has_the_papers_dimension(shared_data: Path) -> None:
    pixels = load_dataset("mnist", LoadRequest(data_dir=shared_data / "mnist")).train.pixels
    assert round(intrinsic_dimension(sample_of(pixels, 1000, seed=0)).mean) == 13  # supplement, Table 2


def desk_in(folder: Path, *, collects: bool = False) -> Desk:
    return Desk(artifact="table2", request=PaperRequest(), workspace=workspace_in(folder), collects=collects)


def test_the_artifact_on_digits(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        TABLE2.make(desk_in(tmp_path, collects=True))
    made = TABLE2.make(desk_in(tmp_path))
    assert TABLE2.make(desk_in(tmp_path, collects=True)) == made  # from the store alone
    assert [row["seed"] for row in made.data] == [0, 1, 2]
    assert {row["sample_size"] for row in made.data} == {1000}  # digits has 1,297 training images
    assert all(6.5 < row["intrinsic_dim"] < 7.5 for row in made.data)  # as tests/networks has it from the 8x8 originals
    assert len({row["intrinsic_dim"] for row in made.data}) == 3
    texts = [entry.text for entry in made.table.blocks[0][0]]
    assert texts[:3] == ["digits", "1,000", "1 × 28 × 28"]
    assert texts[3].startswith("7.")
    assert [texts[4], *texts[6:]] == ["–", "4", "–"]
    assert len(made.keys) == 3


def dataset_of(name: str, pixels: Tensor) -> Dataset:
    split = Split(pixels=pixels, labels=torch.zeros(len(pixels), dtype=torch.int64))
    classes, digest = tuple("0123456789"), digest_of(split, split)
    return Dataset(name=name, family="mnist", class_names=classes, train=split, test=split, digest=digest)


def noise(n: int) -> Tensor:
    """Images of far more than 13 dimensions."""
    return torch.randint(256, (n, 1, 28, 28), dtype=torch.uint8, generator=Generator().manual_seed(0))


def sampled(size: int, *means: float) -> SampleSize:
    estimates = tuple({"mean": mean, "inverse_mean": mean - 3, "n": size} for mean in means)
    return SampleSize(size=size, estimates=estimates, keys=())


PAPER = Published(intrinsic_dim=13, embedding_dim=4)
MNIST = dataset_of("mnist", torch.zeros(60_000, 1, 1, 1, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        # Student's interval of three values is the mean ± 2.48 deviations; the paper's 13 stands for 12.5 to 13.5
        ((12.9, 13.0, 13.1), "13.0 [12.8, 13.2], equal within the interval to the paper's 13"),
        ((13.5, 13.7, 13.9), "13.7 [13.2, 14.2], equal within the interval to the paper's 13"),
        ((13.7, 13.8, 13.9), "13.8 [13.6, 14.0], above the paper's 13"),
        ((12.1, 12.2, 12.3), "12.2 [12.0, 12.4], below the paper's 13"),
        ((13.0,), "13.0 beside the paper's 13, which is rounded; one seed gives no interval"),
    ],
)
def test_findings_against_the_paper(means: tuple[float, ...], expected: str) -> None:
    findings = findings_of(MNIST, [sampled(1000, *means)], PAPER)
    assert expected in findings[0]


def test_findings_on_other_averages_sizes_and_er2() -> None:
    measured = [sampled(1000, 13.0, 13.2), sampled(2000, 13.0, 13.1), sampled(5000, 11.7, 11.9)]
    findings = findings_of(MNIST, measured, PAPER)
    assert "gives 10.1 [" in findings[1]
    assert "From 1,000 to 5,000 images the estimate changes by −1.3 (−10%)" in findings[2]
    assert "ER2's embedding has 13 dimensions: the estimate, rounded." in findings[3]
    few = findings_of(dataset_of("folder:a", noise(1500)), [sampled(1000, 11.0, 11.2)], None)
    assert "the paper has none" in few[0]
    assert "1,500 images, too few" in few[2]
    assert "share most of them" in few[3]
    assert "13 dimensions, where the estimate rounds to 11" in few[4]


def test_the_papers_row_stands_beside_ours_where_the_papers_sample_was_drawn(tmp_path: Path) -> None:
    datasets = {("mnist", None, None): dataset_of("mnist", noise(2000))}
    workspace = workspace_in(tmp_path)
    made = TABLE2.make(
        Desk(artifact="table2", request=PaperRequest(dataset="mnist"), workspace=workspace, datasets=datasets)
    )
    first, second = made.table.blocks[0]
    assert [row[1].text for row in (first, second)] == ["1,000", "2,000"]
    assert [entry.text for entry in first][4] == "13"
    assert first[3].bold
    assert [entry.text for entry in second][4] == "–"
    assert not second[3].bold
    assert "above the paper's 13" in made.findings[0]


def test_the_papers_table_is_the_supplements() -> None:
    text = files("bench.paper").joinpath("table_2.csv").read_text(encoding="utf-8")
    table = {row["dataset"]: (row["intrinsic_dim"], row["embedding_dim"]) for row in csv.DictReader(text.splitlines())}
    assert table == {
        "mnist": ("13", "4"),
        "cifar10": ("17", "16"),
        "stl10": ("20", "16"),
        "tiny-imagenet": ("19", "20"),
    }
