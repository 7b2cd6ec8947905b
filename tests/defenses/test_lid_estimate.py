"""The LID estimate, against NumPy's evaluation of Ma et al. 2018, equation 4, and the traps of the published code."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Generator, Tensor

from attacks.errors import RequestError
from defenses.detectors.distances import Points
from defenses.detectors.lid import LARGEST_LID, LidConfig, local_intrinsic_dimension, self_matches


def _points(count: int, dim: int, seed: int) -> Tensor:
    return torch.rand(count, dim, generator=Generator().manual_seed(seed))


def _formula(distances: np.ndarray) -> np.ndarray:
    """Ascending distances (n, k) -> -(1/k sum ln(r_i / r_k))^-1."""
    return -1 / np.log(distances / distances[:, -1:]).mean(axis=1)


def _lid(queries: Tensor, references: Tensor, neighbors: int) -> np.ndarray:
    """As the detector does it: distances, self-matches out, estimate."""
    distances = Points(references).distances(queries)
    distances = distances.masked_fill(self_matches(distances), torch.inf)
    return local_intrinsic_dimension(distances, neighbors).numpy()


def _nearest(queries: Tensor, references: Tensor, count: int) -> np.ndarray:
    return NearestNeighbors(n_neighbors=count).fit(references.double().numpy()).kneighbors(queries.double().numpy())[0]


@pytest.mark.parametrize("neighbors", [2, 5, 20])
def test_estimate_equals_the_formula_on_scikit_learns_neighbors(neighbors: int) -> None:
    queries, references = _points(15, 6, seed=0), _points(100, 6, seed=1)
    expected = _formula(_nearest(queries, references, neighbors))
    np.testing.assert_allclose(_lid(queries, references, neighbors), expected, rtol=1e-8)


def test_a_worked_example() -> None:
    # distances 1, 2 and 4 (and 9, too far): mean of ln(1/4), ln(2/4), ln 1 is -ln 2, so 1 / ln 2
    distances = torch.tensor([[9.0, 2.0, 1.0, 4.0]])
    assert local_intrinsic_dimension(distances, 3).item() == pytest.approx(1 / np.log(2))


def test_the_estimate_grows_with_the_dimension() -> None:
    # uniform points of a cube: the estimate is near the number of axes while neighbors are near
    means = [_lid(_points(50, dim, seed=0), _points(4000, dim, seed=1), 20).mean() for dim in (1, 2, 4)]
    assert means == pytest.approx([1, 2, 4], rel=0.25)


def test_a_query_among_the_references_is_left_out_once() -> None:
    references = _points(60, 5, seed=0)
    queries = references[[7, 30]]
    nearest = _nearest(queries, references, 11)
    assert (nearest[:, 0] == 0).all()
    np.testing.assert_allclose(_lid(queries, references, 10), _formula(nearest[:, 1:]), rtol=1e-8)


def test_a_noisy_copy_keeps_its_clean_source() -> None:
    # the published code drops every query's nearest distance: here that would be the source
    references = _points(60, 5, seed=0)
    queries = references[[7, 30]] + 1e-3 * _points(2, 5, seed=2)
    nearest = _nearest(queries, references, 11)
    assert nearest[:, 0].max() < 0.003 < nearest[:, 1].min()
    estimates = _lid(queries, references, 10)
    np.testing.assert_allclose(estimates, _formula(nearest[:, :10]), rtol=1e-8)
    assert (np.abs(estimates / _formula(nearest[:, 1:]) - 1) > 0.2).all()


def test_an_exact_duplicate_gives_a_positive_number() -> None:
    references = _points(60, 5, seed=0)
    references[1] = references[0]
    (estimate,) = _lid(references[:1], references, 10)  # one copy is the image itself, the other a neighbor
    nearest = _nearest(references[:1], references, 11)[:, 1:]
    assert nearest[0, 0] == 0
    assert estimate == pytest.approx(_formula(np.maximum(nearest, 1e-12))[0], rel=1e-8)
    assert 0 < estimate < 1


def test_nothing_but_duplicates_gives_the_largest_value_instead_of_nan() -> None:
    references = _points(1, 5, seed=0).repeat(30, 1)
    assert _lid(references[:2], references, 10).tolist() == pytest.approx([LARGEST_LID] * 2)


def test_fewer_references_than_neighbors_are_refused() -> None:
    references = _points(10, 5, seed=0)
    assert np.isfinite(_lid(_points(2, 5, seed=1), references, 10)).all()
    with pytest.raises(RequestError, match="11 neighbors"):
        _lid(_points(2, 5, seed=1), references, 11)
    with pytest.raises(RequestError, match="10 neighbors"):  # its own copy does not count
        _lid(references[:2], references, 10)


@pytest.mark.parametrize(("neighbors", "minibatch"), [(0, 100), (-1, 100), (20, 20), (100, 100)])
def test_settings_out_of_range_are_refused(neighbors: int, minibatch: int) -> None:
    with pytest.raises(RequestError, match="neighbors"):
        LidConfig(neighbors=neighbors, minibatch=minibatch)
