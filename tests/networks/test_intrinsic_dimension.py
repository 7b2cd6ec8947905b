"""The intrinsic dimension of digits, estimated again by scikit-dimension."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from defenses.networks.registry import FAMILIES

skdim = pytest.importorskip("skdim", reason="scikit-dimension is in the extra 'dev'")


def test_digits_has_the_dimension_that_the_papers_estimator_gives() -> None:
    # Supplement, C.2: Levina and Bickel's estimator as in hub-toolbox (6 to 12 neighbors, k - 2 in the
    # numerator, plain mean over points), 1,000 images.
    images = load_digits().data / 16  # (1797, 64) in [0, 1]
    sample = images[np.random.default_rng(0).choice(len(images), 1000, replace=False)]
    estimator = skdim.id.MLE(unbiased=True)
    estimates = [estimator.fit_predict(sample, n_neighbors=k, comb="mean") for k in range(6, 13)]
    assert round(np.mean(estimates)) == FAMILIES.get("digits").intrinsic_dim
