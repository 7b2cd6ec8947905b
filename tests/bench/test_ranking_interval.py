"""The interval of an AUROC: its defining equation, its symmetry, and how often it holds the truth."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from bench.metrics.ranking_interval import ranking_interval


@pytest.mark.parametrize(("auroc", "negatives", "positives"), [(0.7, 40, 20), (0.5, 100, 97), (0.93, 200, 30)])
def test_at_its_ends_the_distance_is_196_standard_errors(auroc: float, negatives: int, positives: int) -> None:
    for bound in ranking_interval(auroc, negatives, positives):
        q1, q2 = bound / (2 - bound), 2 * bound**2 / (1 + bound)  # Hanley and McNeil 1982
        others = (negatives + positives) / 2 - 1  # instead of positives - 1 and negatives - 1
        variance = bound * (1 - bound) + others * (q1 - bound**2 + q2 - bound**2)
        assert abs(bound - auroc) == pytest.approx(1.959964 * math.sqrt(variance / (negatives * positives)), rel=1e-5)


def test_a_perfect_ranking_of_few_is_not_certain_and_both_sides_are_alike() -> None:
    low, high = ranking_interval(1.0, 10, 10)
    assert high == 1.0
    assert 0.5 < low < 0.95
    assert ranking_interval(0.0, 10, 10) == pytest.approx((0.0, 1 - low))
    assert ranking_interval(1.0, 1000, 1000)[0] > 0.995


def test_it_holds_the_truth_19_times_of_20() -> None:
    generator = np.random.default_rng(0)
    shift, negatives, positives = 1.5, 50, 40
    truth = norm.cdf(shift / math.sqrt(2))  # of two normal distributions
    labels = np.r_[np.zeros(negatives), np.ones(positives)]
    held = 0
    for _ in range(400):
        scores = generator.normal(size=negatives + positives) + shift * labels
        low, high = ranking_interval(float(roc_auc_score(labels, scores)), negatives, positives)
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.98
