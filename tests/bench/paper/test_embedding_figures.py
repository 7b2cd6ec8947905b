"""Figures 5 and 6: distances known by hand, and the points of a small run against its own store and outcomes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.patches import Circle
from scipy.stats import chi2
from small_runs import workspace_in

from attacks.errors import DataError, NotConvergedError
from bench.paper.artifacts.embeddings import FIGURE5, FIGURE6
from bench.paper.artifacts.embeddings_findings import findings_of
from bench.paper.artifacts.embeddings_picture import Cloud, draw_embeddings
from bench.paper.contract import Made, PaperRequest
from bench.paper.desk import Desk
from bench.paper.studies.clusters import PRIOR_RADIUS, clusters_of
from bench.record import Record, load_outcomes

SETTINGS = {"n_train": 400, "epochs": 8, "n_test": 30, "steps": 5}


def desk_in(folder: Path, *, collects: bool = False) -> Desk:
    request = PaperRequest(settings=SETTINGS, seeds=(1, 2))
    return Desk(artifact="figure5", request=request, workspace=workspace_in(folder), collects=collects)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    folder = tmp_path_factory.mktemp("figure5")
    return folder, FIGURE5.make(desk_in(folder))


def records_of(folder: Path, made: Made) -> list[Record]:
    desk = desk_in(folder, collects=True)
    run = {"attack": "pgd", "until": "end", "embedding_dim": 2, "seed": 1}
    records = desk.records([{"defense": name} | run for name in ("e-cla", "er-classifier")])
    assert tuple(record.run_id for record in records) == made.keys
    return records


def test_the_circle_holds_95_percent_of_the_prior() -> None:
    assert pytest.approx(chi2(2).ppf(0.95)) == PRIOR_RADIUS**2


def test_clusters_by_hand() -> None:
    clean = torch.tensor([[0.0, 1.0], [0.0, -1.0], [4.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    adversarial = clean + torch.tensor([3.0, 4.0])
    clusters = clusters_of(clean, adversarial, torch.tensor([0, 0, 1, 1, 3]))
    assert clusters.centers[[0, 1, 3]].tolist() == [[0, 0], [4, 0], [0, 3]]
    assert bool(clusters.centers[2].isnan().all())
    assert clusters.spread == pytest.approx(np.sqrt(2 / 5))
    assert clusters.between == pytest.approx((4 + 3 + 5) / 3)
    assert clusters.moved == pytest.approx(5)
    assert clusters.in_centers(2.0) == pytest.approx(1 / 2)
    assert (clusters.clean_within, clusters.adversarial_within) == (pytest.approx(2 / 5), 0)


def test_the_points_are_those_of_the_stored_images(drawn: tuple[Path, Made]) -> None:
    folder, made = drawn
    desk = desk_in(folder)
    assert len(made.data) == 2 * 2 * 30
    for record, defense in zip(records_of(folder, made), ("e-cla", "er-classifier"), strict=True):
        rows = [row for row in made.data if row["defense"] == defense]
        network = desk.classifier(defense, 1, embedding_dim=2).network
        outcomes = load_outcomes(folder / "results" / "runs" / record.run_id)
        for kind in ("clean", "adversarial"):
            points = [row for row in rows if row["kind"] == kind]
            judged = outcomes[outcomes["kind"] == kind]
            assert [row["sample_id"] for row in points] == judged["sample_id"].tolist()
            assert [row["label"] for row in points] == judged["label"].tolist()
            assert [row["prediction"] for row in points] == judged["prediction"].tolist()
            images = desk.dataset.test.images(torch.tensor([row["sample_id"] for row in points]))
            if kind == "adversarial":
                chunks = [desk.workspace.store.load("crafted", key) for key in record.stored["test"]]
                images = torch.cat([chunk.tensors["images"] for chunk in chunks if chunk])
            expected = network.embedding(images)
            assert expected.shape == (30, 2)
            np.testing.assert_allclose([[row["x"], row["y"]] for row in points], expected, atol=1e-4)
    moved = [np.hypot(a["x"] - b["x"], a["y"] - b["y"]) for a, b in zip(rows[:30], rows[30:], strict=True)]
    assert made.table.blocks[0][1][4].text == f"{np.mean(moved):.2f}"  # of the last one, the er-classifier


def test_the_picture_has_a_column_a_network_and_a_circle_for_the_prior(drawn: tuple[Path, Made]) -> None:
    _, made = drawn
    assert made.figure is not None
    titles = [axes.get_title().partition(" (")[0] for axes in made.figure.axes]
    assert titles == ["e-cla, clean", "er-classifier, clean", "e-cla, under PGD", "er-classifier, under PGD"]
    circles = [[patch for patch in axes.patches if isinstance(patch, Circle)] for axes in made.figure.axes]
    assert [len(found) for found in circles] == [0, 1, 0, 1]
    assert circles[1][0].radius == pytest.approx(PRIOR_RADIUS)
    assert {text.get_text() for text in made.figure.axes[0].texts} <= {str(digit) for digit in range(10)}
    assert "seed 1" in made.counted


def test_points_beyond_the_frame_are_told() -> None:
    points = np.random.default_rng(0).uniform(size=(400, 2)).astype(np.float32)
    points[0] = (1000, 0)
    cloud = Cloud(
        defense="e-cla",
        clean=points,
        adversarial=points,
        labels=np.zeros(400, dtype=np.int64),
        centers=np.array([[0, 0], [np.nan, np.nan]], dtype=np.float32),
        circle=None,
    )
    figure = draw_embeddings([cloud], ("zero", "one"))
    assert [axes.get_title() for axes in figure.axes] == [
        "e-cla, clean (1 beyond the frame)",
        "e-cla, under PGD (1 beyond the frame)",
    ]
    assert [text.get_text() for text in figure.axes[0].texts] == ["zero"]  # the other has no points


def test_a_second_call_computes_nothing(drawn: tuple[Path, Made], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = drawn
    monkeypatch.setattr("bench.crafting.craft", lambda *_, **__: pytest.fail("attacked again"))
    again = FIGURE5.make(desk_in(folder, collects=True))
    assert (again.data, again.findings) == (made.data, made.findings)


@pytest.mark.parametrize(
    ("status", "error"), [("not-converged", NotConvergedError), ("error", DataError)], ids=["not converged", "error"]
)
def test_a_run_without_numbers_is_told(
    drawn: tuple[Path, Made], monkeypatch: pytest.MonkeyPatch, status: str, error: type[Exception]
) -> None:
    records = [replace(record, status=status, message="the reason") for record in records_of(*drawn)]
    monkeypatch.setattr(Desk, "records", lambda *_: records)
    with pytest.raises(error, match="the reason"):
        FIGURE5.make(desk_in(drawn[0]))


def test_images_that_are_gone_are_told(drawn: tuple[Path, Made], monkeypatch: pytest.MonkeyPatch) -> None:
    records = [replace(each, stored=each.stored | {"test": ["0" * 16]}) for each in records_of(*drawn)]
    monkeypatch.setattr(Desk, "records", lambda *_: records)
    with pytest.raises(DataError, match="is not in"):
        FIGURE5.make(desk_in(drawn[0]))


def test_findings_say_whether_the_regularizer_acts(drawn: tuple[Path, Made]) -> None:
    record = records_of(*drawn)[0]
    clusters = clusters_of(torch.zeros(2, 2), torch.full((2, 2), 9.0), torch.tensor([0, 1]))

    def of(distance: float) -> Any:
        return replace(record, metrics=record.metrics | {"embedding": {"squared_mmd": distance}}), clusters

    assert "nearer to its prior: squared MMD 0.100 with it, 0.200 without" in findings_of(of(0.2), of(0.1))[0]
    assert "no nearer to its prior" in findings_of(of(0.1), of(0.2))[0]
    assert findings_of(of(0.1), of(0.2))[3].startswith("0.0 % of adversarial points and 100.0 % of clean ones")


def test_the_figures_are_for_the_papers_datasets() -> None:
    assert (FIGURE5.name, FIGURE5.families) == ("figure5", {"mnist", "digits"})
    assert (FIGURE6.name, FIGURE6.families) == ("figure6", {"cifar10", "digits"})
