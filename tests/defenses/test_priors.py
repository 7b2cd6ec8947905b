"""The priors, against SciPy's distributions (Kolmogorov-Smirnov, seeds fixed)."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Generator

from attacks.errors import RequestError
from defenses.priors import PRIORS, sample_prior

# supplement C.4: N(0, 1), Uniform(-3, 3), Cauchy(0, 1)
DISTRIBUTIONS = {"gaussian": stats.norm(), "uniform": stats.uniform(-3, 6), "cauchy": stats.cauchy()}


def test_every_prior_has_a_distribution_to_compare_with() -> None:
    assert set(PRIORS) == set(DISTRIBUTIONS)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_axis_follows_the_distribution(name: str) -> None:
    sample = sample_prior(name, (4000, 3), Generator().manual_seed(0))
    assert sample.dtype == torch.float32
    assert bool(torch.isfinite(sample).all())
    points = sample.double().numpy()
    for axis in range(3):
        assert stats.kstest(points[:, axis], DISTRIBUTIONS[name].cdf).pvalue > 0.01
    quartiles = np.quantile(points, [0.25, 0.5, 0.75])
    assert quartiles == pytest.approx(DISTRIBUTIONS[name].ppf([0.25, 0.5, 0.75]), abs=0.08)
    # ranks of independent axes correlate by no more than chance: five standard errors of 1 / sqrt(4000)
    assert np.abs(stats.spearmanr(points).statistic - np.eye(3)).max() < 5 / 4000**0.5


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_generator_decides(name: str) -> None:
    generator = Generator().manual_seed(1)
    first, second = (sample_prior(name, (5, 2), generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, sample_prior(name, (5, 2), Generator().manual_seed(1)))


def test_an_unknown_prior_suggests_the_near_one() -> None:
    with pytest.raises(RequestError, match="did you mean 'gaussian'"):
        sample_prior("gausian", (1, 1), Generator())
