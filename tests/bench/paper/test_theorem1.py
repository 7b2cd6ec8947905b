"""Theorem 1 and bound (6): transport known by hand, two solvers against each other, and the artifact on digits."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from small_runs import workspace_in

from attacks.errors import RequestError
from bench.paper.artifacts.theorem1 import THEOREM1
from bench.paper.artifacts.theorem1_findings import findings_of
from bench.paper.contract import PaperRequest
from bench.paper.desk import Desk
from bench.paper.missing import MissingError
from bench.paper.studies.theorem_cases import DRAWN, ENCODER, IDENTITY, NOISES, Draws, draw, evaluate
from bench.paper.studies.theorem_sides import (
    drawn_label_sides,
    encoder_sides,
    identity_sides,
    signed_noise_sides,
)
from bench.paper.studies.transport import assignment_cost, squared_distances, transport_cost
from defenses.networks.registry import build_er_network

HALVES = np.full((2, 2), 0.5)  # two codes, of which the classifier knows nothing
BOTH = np.array([0, 1])


@pytest.fixture
def some() -> tuple[np.ndarray, np.ndarray]:
    """Labels and outputs of 60 images and codes, unevenly distributed over 4 of 5 classes."""
    generator = np.random.default_rng(0)
    return generator.choice(4, 60, p=[0.6, 0.2, 0.1, 0.1]), generator.dirichlet(np.full(5, 0.3), 60)


def test_transport_between_two_points_by_hand() -> None:
    # from (1/2, 1/2) to (1/4, 3/4) on the points 0 and 3, a quarter moves over a squared distance of 9
    places = np.array([[0.0], [3.0]])
    cost = transport_cost(squared_distances(places, places), np.array([0.5, 0.5]), np.array([0.25, 0.75]))
    assert cost == pytest.approx(9 / 4)


def test_transport_on_a_line_pairs_the_sorted_points() -> None:
    generator = np.random.default_rng(0)
    points, others = generator.normal(size=(2, 40, 1))
    expected = ((np.sort(points, axis=0) - np.sort(others, axis=0)) ** 2).mean()
    costs = squared_distances(points, others)
    assert assignment_cost(costs) == pytest.approx(expected)
    assert transport_cost(costs, np.ones(40), np.ones(40)) == pytest.approx(expected)


def test_transport_of_uneven_masses_is_scipys_on_a_line() -> None:
    generator = np.random.default_rng(1)
    points, others = generator.normal(size=12), generator.normal(size=30)
    masses, other_masses = generator.dirichlet(np.ones(12)), generator.dirichlet(np.ones(30))
    cost = transport_cost(np.abs(points[:, None] - others), masses, other_masses)
    assert cost == pytest.approx(wasserstein_distance(points, others, masses, other_masses))


def test_program_and_assignment_agree_and_no_pairing_is_cheaper() -> None:
    generator = np.random.default_rng(2)
    costs = squared_distances(generator.normal(size=(50, 6)), generator.normal(size=(50, 6)))
    best = assignment_cost(costs)
    assert transport_cost(costs, np.ones(50), np.ones(50)) == pytest.approx(best, abs=1e-12)
    others = [costs[np.arange(50), generator.permutation(50)].mean() for _ in range(20)]
    assert min(others) > best + 0.1


def test_squared_distances_are_those_of_coordinates() -> None:
    points, others = np.random.default_rng(3).normal(size=(2, 7, 4))
    expected = [[((point - other) ** 2).sum() for other in others] for point in points]
    np.testing.assert_allclose(squared_distances(points, others), expected)


def test_what_cannot_be_moved_or_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing moves one onto the other"):
        transport_cost(np.zeros((2, 2)), np.ones(2), np.full(2, 0.9))
    with pytest.raises(ValueError, match="cannot be paired"):
        assignment_cost(np.zeros((2, 3)))


def test_identity_by_hand() -> None:
    # the code that is surer of class 0 goes to label 0: (2 * 0.1^2 + 2 * 0.8^2) / 2; the other pairing costs 0.85
    sides = identity_sides(BOTH, np.array([[0.8, 0.2], [0.9, 0.1]]))
    assert sides.left == pytest.approx(0.65)
    assert sides.right == pytest.approx(0.65)


def test_identity_of_many(some: tuple[np.ndarray, np.ndarray]) -> None:
    sides = identity_sides(*some)
    assert sides.right > 0.1
    assert sides.slack == pytest.approx(0, abs=1e-12)


def test_bound_with_noise_by_hand() -> None:
    # U is (1/2 + s, 1/2 - s) or (1/2 - s, 1/2 + s). Whoever sees U sends each to its nearest label: 2 (1/2 - s)^2.
    # Whoever sees Z alone pays 1/2 + 2 s^2.
    sides = signed_noise_sides(BOTH, HALVES, np.array([[1.0, -1.0], [1.0, -1.0]]), 0.3, infimum=0.5)
    assert sides.left == pytest.approx(0.08)
    assert sides.middle == pytest.approx(0.68)
    assert sides.right == pytest.approx(0.68)


def test_no_noise_no_slack(some: tuple[np.ndarray, np.ndarray]) -> None:
    identity = identity_sides(*some)
    sides = signed_noise_sides(*some, np.ones((60, 5)), 0.0, identity.right)
    assert [sides.left, sides.middle, sides.right] == pytest.approx([identity.right] * 3, abs=1e-12)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 2.0])
def test_bound_with_noise_of_many(some: tuple[np.ndarray, np.ndarray], sigma: float) -> None:
    signs = np.random.default_rng(4).choice([-1.0, 1.0], (60, 5))
    infimum = identity_sides(*some).right
    sides = signed_noise_sides(*some, signs, sigma, infimum)
    assert sides.middle is not None
    assert sides.left < sides.middle - 1e-4
    assert sides.middle == pytest.approx(sides.right, abs=1e-10)
    assert sides.right - infimum == pytest.approx(5 * sigma**2)


def test_bound_with_drawn_labels_by_hand() -> None:
    # drawn and true labels are distributed alike, so nothing moves; but given Z a drawn label is wrong half the time,
    # at a squared distance of 2; and 2 * 1/2 * 1/2 + 1/2 = 1
    sides = drawn_label_sides(BOTH, HALVES, infimum=0.5)
    assert [sides.left, sides.middle, sides.right] == pytest.approx([0, 1, 1])


def test_bound_with_drawn_labels_of_many(some: tuple[np.ndarray, np.ndarray]) -> None:
    labels, outputs = some
    sides = drawn_label_sides(labels, outputs, identity_sides(labels, outputs).right)
    shares = np.bincount(labels, minlength=5) / 60
    assert sides.left == pytest.approx(np.abs(shares - outputs.mean(axis=0)).sum())  # twice the total variation
    assert sides.middle == pytest.approx(assignment_cost(2 * (1 - outputs.T[labels])))  # 2 P(drawn label is wrong)
    assert sides.middle == pytest.approx(sides.right)
    assert sides.slack > 0.1


def test_an_encoder_may_waste_what_its_codes_allow() -> None:
    right, exchanged = np.eye(2), np.eye(2)[::-1]
    assert encoder_sides(BOTH, right).right == 0
    wasted = encoder_sides(BOTH, exchanged)  # the right distribution of outputs, each at the wrong image
    assert wasted.left == pytest.approx(0)
    assert wasted.right == pytest.approx(2)


def data_of(case: str, **changes: float) -> dict[str, Any]:
    """A row in which everything holds, but for `changes`."""
    row = {"seed": 7, "case": case, "left": 0.2, "middle": 0.5, "right": 0.5, "slack": 0.3, "squared_mmd": None}
    if case == IDENTITY:
        row |= {"left": 0.5, "middle": None, "slack": 0.0}
    if case == ENCODER:
        row |= {"middle": None, "squared_mmd": 0.125}
    return row | changes


CASES = (IDENTITY, *NOISES.values(), DRAWN, ENCODER)


def test_nothing_is_called_violated_that_holds() -> None:
    findings = findings_of([data_of(case) for case in CASES])
    assert not any("VIOLATED" in finding for finding in findings)
    assert "identity holds" in findings[0]
    assert "holds in all 4" in findings[1]
    assert "is an equality" in findings[2]
    assert "0.1250" in findings[3]


@pytest.mark.parametrize(
    ("case", "changes", "expected"),
    [
        (IDENTITY, {"slack": 1e-4}, "differ by 1.00e-04"),
        (IDENTITY, {"slack": -1e-4}, "differ by 1.00e-04"),
        (NOISES[0.1], {"slack": -1e-4}, "(6), noise ± 0.1, seed 7: slack -1.00e-04"),
        (DRAWN, {"slack": -1e-4}, "(6), drawn label, seed 7"),
        (DRAWN, {"middle": 0.19}, "by 1.00e-02"),
        (DRAWN, {"middle": 0.51}, "by 1.00e-02"),
        (ENCODER, {"slack": -1e-4}, "below the infimum for its own"),
    ],
)
def test_what_does_not_hold_is_called_violated(case: str, changes: dict[str, float], expected: str) -> None:
    data = [data_of(each, **(changes if each == case else {})) for each in CASES]
    (violated,) = [finding for finding in findings_of(data) if "VIOLATED" in finding]
    assert expected in violated


def desk_in(folder: Path, *, collects: bool = False, samples: int = 60) -> Desk:
    request = PaperRequest(seeds=(0,), settings={"n_train": 400, "epochs": 6}, options={"samples": samples})
    return Desk(artifact="theorem1", request=request, workspace=workspace_in(folder), collects=collects)


def test_the_artifact_on_digits(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        THEOREM1.make(desk_in(tmp_path, collects=True))
    made = THEOREM1.make(desk_in(tmp_path))
    rows = {row["case"]: row for row in made.data}
    assert tuple(rows) == CASES
    assert all(row["slack"] > -1e-9 for row in made.data)
    assert not any("VIOLATED" in finding for finding in made.findings)
    assert [[row[0].text for row in block] for block in made.table.blocks] == [[IDENTITY], [*CASES[1:-1]], [ENCODER]]
    assert "60 test images" in made.counted
    assert THEOREM1.make(desk_in(tmp_path, collects=True)) == made  # from the store alone

    (key,) = made.keys
    item = workspace_in(tmp_path).store.load("studies", key)
    assert item is not None
    labels, outputs, encoded = (item.tensors[name] for name in ("labels", "outputs", "encoded_outputs"))
    assert torch.allclose(outputs.sum(dim=1), torch.ones(60, dtype=torch.float64))
    assert (encoded.argmax(dim=1) == labels).double().mean() > 0.8  # labels and codes are of the same images
    brier = (torch.nn.functional.one_hot(labels, 10) - encoded).square().sum(dim=1).mean()
    assert rows[ENCODER]["right"] == pytest.approx(float(brier))
    assert rows[IDENTITY]["left"] == pytest.approx(identity_sides(labels.numpy(), outputs.numpy()).right)


@pytest.mark.parametrize("samples", [1, 0, 5001])
def test_samples_out_of_range_are_refused(tmp_path: Path, samples: int) -> None:
    with pytest.raises(RequestError, match=r"--samples must be between 2 and 5,000"):
        THEOREM1.make(desk_in(tmp_path, samples=samples))


def drawn_from(prior: str, seed: int = 0) -> Draws:
    network = build_er_network("digits", classes=10, embedding_dim=4, seed=0).eval()
    images = desk_in(Path("nowhere")).dataset.test
    return draw(network, images, prior, 50, seed)


def test_codes_come_from_the_prior_and_everything_from_the_seed() -> None:
    uniform = drawn_from("uniform")
    assert uniform.drawn.abs().max() <= 3
    assert drawn_from("cauchy").drawn.abs().max() > 10
    assert set(uniform.signs.unique().tolist()) == {-1.0, 1.0}
    again, other = drawn_from("uniform"), drawn_from("uniform", seed=1)
    assert all(torch.equal(tensor, asdict(again)[name]) for name, tensor in asdict(uniform).items())
    assert not any(torch.equal(tensor, asdict(other)[name]) for name, tensor in asdict(uniform).items())
    assert evaluate(uniform) == evaluate(again)
