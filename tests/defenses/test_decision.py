"""The logistic regression, against a scikit-learn pipeline of StandardScaler and LogisticRegressionCV."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attacks.errors import RequestError
from defenses.detectors.decision import CLASS_WEIGHTS, LOWEST_LOG_DENSITY, STRENGTHS, fit_decision


def _scores(count: int, mean: float, seed: int) -> np.ndarray:
    """(count, 3) on very different scales."""
    return np.array([1.0, 100.0, 0.01]) * np.random.default_rng(seed).normal(mean, 1, (count, 3))


def test_probabilities_equal_scikit_learns() -> None:
    negatives, positives, queries = _scores(60, 0, 0), _scores(30, 1, 1), _scores(40, 0.5, 2)
    oracle = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=list(STRENGTHS),
            cv=StratifiedKFold(5, shuffle=True, random_state=4),
            scoring="accuracy",
            max_iter=1000,
        ),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        oracle.fit(np.r_[negatives, positives], np.r_[np.zeros(60), np.ones(30)])
    decision = fit_decision(negatives, positives, seed=4)
    expected = oracle.predict_proba(queries)[:, 1]
    np.testing.assert_allclose(decision.probability(queries), expected, atol=1e-6)
    assert 0 < int((expected >= 0.5).sum()) < 40


@pytest.mark.parametrize("columns", [1, 3])
def test_balanced_classes_equal_scikit_learns(columns: int) -> None:
    negatives, positives = _scores(200, 0, 0)[:, :columns], _scores(100, 1, 1)[:, :columns]
    queries = _scores(40, 0.5, 2)[:, :columns]
    # the strength is found by another search than ours, over the same folds
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)),
        {"logisticregression__C": list(STRENGTHS)},
        scoring="balanced_accuracy",
        cv=StratifiedKFold(5, shuffle=True, random_state=4),
    )
    search.fit(np.r_[negatives, positives], np.r_[np.zeros(200), np.ones(100)])
    expected = search.predict_proba(queries)[:, 1]
    balanced = fit_decision(negatives, positives, seed=4, class_weight="balanced")
    np.testing.assert_allclose(balanced.probability(queries), expected, atol=1e-4)
    plain = fit_decision(negatives, positives, seed=4)
    assert np.abs(plain.probability(queries) - expected).max() > 0.05


def test_balanced_classes_flag_more_where_positives_are_fewer() -> None:
    # Normal at 0 and at 1: equal chances meet at 1/2, at 200 to 100 where the odds are e^(x - 1/2) / 2 = 1
    negatives, positives = _scores(200, 0, 0)[:, :1], _scores(100, 1, 1)[:, :1]
    both = np.r_[negatives, positives]
    line = np.linspace(-2, 3, 501)[:, None]
    flagged, start = {}, {}
    for weight in CLASS_WEIGHTS:
        decision = fit_decision(negatives, positives, 0, weight)
        flagged[weight] = decision.probability(both) >= 0.5
        start[weight] = float(line[decision.probability(line) >= 0.5].min())
    assert flagged["none"].sum() + 20 < flagged["balanced"].sum()
    assert not (flagged["none"] & ~flagged["balanced"]).any()
    assert start["none"] == pytest.approx(0.5 + np.log(2), abs=0.25)
    assert start["balanced"] == pytest.approx(0.5, abs=0.25)


def test_balance_changes_nothing_where_both_kinds_are_as_many() -> None:
    negatives, positives = _scores(80, 0, 0), _scores(80, 1, 1)
    plain, balanced = (fit_decision(negatives, positives, 0, weight) for weight in ("none", "balanced"))
    np.testing.assert_allclose(plain.weights, balanced.weights, atol=1e-6)
    assert plain.intercept == pytest.approx(balanced.intercept, abs=1e-6)


def test_scaling_is_that_of_set_one_alone() -> None:
    negatives, positives = _scores(60, 0, 0), _scores(30, 1, 1)
    decision = fit_decision(negatives, positives, seed=0)
    both = np.r_[negatives, positives]
    np.testing.assert_allclose(decision.mean, both.mean(axis=0))
    np.testing.assert_allclose(decision.scale, both.std(axis=0))
    query, crowd = _scores(1, 0.5, 2), 1e6 * _scores(20, 1, 3)
    assert decision.probability(np.r_[query, crowd])[0] == decision.probability(query)[0]


def test_the_sign_says_which_side_is_flagged() -> None:
    low, high = _scores(50, -2, 0), _scores(50, 2, 1)
    flags_low, flags_high = fit_decision(high, low, 0), fit_decision(low, high, 0)
    assert (flags_low.weights < 0).all()
    assert (flags_high.weights > 0).all()
    assert (flags_high.probability(high) >= 0.5).mean() > 0.95


@pytest.mark.parametrize(("negatives", "positives"), [(4, 60), (60, 4), (0, 60)])
def test_too_few_of_either_kind_are_refused(negatives: int, positives: int) -> None:
    message = f"set I has {negatives} non-adversarial and {positives} adversarial images.* --n-fit"
    with pytest.raises(RequestError, match=message):
        fit_decision(_scores(negatives, 0, 0), _scores(positives, 1, 1), 0)
    fit_decision(_scores(max(5, negatives), 0, 0), _scores(max(5, positives), 1, 1), 0)


def test_an_image_without_any_density_counts_as_the_lowest() -> None:
    negatives, positives = _scores(50, 0, 0)[:, :1], _scores(50, -3, 1)[:, :1]
    positives[:3] = -np.inf
    decision = fit_decision(negatives, positives, 0)
    assert np.isfinite([decision.mean, decision.scale, decision.weights]).all()
    lowest, none = decision.probability(np.array([[LOWEST_LOG_DENSITY], [-np.inf]]))
    assert lowest == none > 0.5
    assert (decision.probability(np.array([[-np.inf], [np.nan], [0.0]])) <= 1).all()  # and no NaN


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e4, -1e6])
def test_a_constant_score_is_ignored(constant: float) -> None:
    negatives, positives = _scores(37, 0, 0), _scores(36, 2, 1)
    negatives[:, 2] = positives[:, 2] = constant
    decision = fit_decision(negatives, positives, 0)
    query = _scores(20, 1, 2)
    query[:, 2] = constant
    without = fit_decision(negatives[:, :2], positives[:, :2], 0)
    np.testing.assert_allclose(decision.probability(query), without.probability(query[:, :2]), atol=1e-4)
    moved = query + np.array([0, 0, 0.5])  # a score that told nothing apart in set I decides nothing in set II
    np.testing.assert_allclose(decision.probability(moved), decision.probability(query), atol=1e-6)
