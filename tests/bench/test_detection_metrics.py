"""A detector's numbers, against hand counts, counting of pairs, and scikit-learn's ROC curve."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from bench.metrics.detection import detection_metrics, threshold_at
from bench.metrics.rates import rate


def rows(kind: str, probability: list[float], correct: Any = True, *, judged: bool = True, **more: Any) -> pd.DataFrame:
    values = np.asarray(probability, dtype=float)
    columns = {"role": "test", "kind": kind, "correct": correct, "judged": judged, "score_a": -values}
    return pd.DataFrame({"probability": values, "flagged": values >= 0.5} | columns | more)


def hand_made() -> pd.DataFrame:
    return pd.concat(
        [
            rows("clean", [0.1, 0.2, 0.3, 0.9]),
            rows("noisy", [0.1, 0.4, 0.6, 0.7], [True, True, False, True]),
            rows("adversarial", [0.95, 0.8, 0.3, 0.2], [False, True, True, False]),
        ],
        ignore_index=True,
    )


def test_the_papers_two_numbers() -> None:
    metrics = detection_metrics(hand_made())
    assert metrics["acc_nadv"] == rate(5, 8)  # clean and noisy together: 1 + 2 flagged
    assert metrics["acc_com"] == rate(3, 4)  # flagged, flagged, correct; the last is neither
    assert metrics["detection_rate"] == rate(2, 4)
    assert metrics["false_positive_rate"] == rate(3, 8)
    assert metrics["attack_success_rate"] == rate(2, 4)


def test_success_with_a_detector_is_misled_and_not_caught() -> None:
    metrics = detection_metrics(hand_made())
    assert metrics["threshold_at_5_fpr"] == 0.9  # none of 4 clean images may be caught, noisy ones do not matter
    assert metrics["tpr_at_5_fpr"] == rate(1, 4)  # 0.95 alone
    assert metrics["success_rate_at_5_fpr"] == rate(1, 4)  # the misled one at 0.2; that at 0.95 is caught


def test_one_percent_of_the_clean_images_may_be_caught_and_five_percent_are_more() -> None:
    clean = [0.01 * i for i in range(100)]  # the five highest: 0.99 to 0.95
    attacked = rows("adversarial", [0.985, 0.97, 0.96, 0.5], [False, True, False, False])
    metrics = detection_metrics(pd.concat([rows("clean", clean), rows("noisy", [0.999]), attacked], ignore_index=True))
    assert metrics["threshold_at_1_fpr"] == pytest.approx(0.98)  # one image of 100 lies above it
    assert metrics["threshold_at_5_fpr"] == pytest.approx(0.94)
    assert metrics["tpr_at_1_fpr"] == rate(1, 4)
    assert metrics["tpr_at_5_fpr"] == rate(3, 4)
    assert metrics["success_rate_at_1_fpr"] == rate(2, 4)  # misled at 0.96 and 0.5
    assert metrics["success_rate_at_5_fpr"] == rate(1, 4)  # at 0.5


def test_rows_that_do_not_count_are_left_out() -> None:
    missed = rows("adversarial", [0.0, 0.1, 0.99], correct=False, judged=False)
    set_one = rows("clean", [0.99, 0.98]).assign(role="fit")
    more = pd.concat([set_one, hand_made(), missed], ignore_index=True)
    assert detection_metrics(more) == detection_metrics(hand_made())


def test_nothing_judged_gives_no_rates() -> None:
    outcomes = hand_made()
    outcomes.loc[outcomes["kind"] == "adversarial", "judged"] = False
    metrics = detection_metrics(outcomes)
    assert metrics["acc_com"] == rate(0, 0)
    assert metrics["acc_nadv"] == rate(5, 8)
    assert metrics["auroc"] is metrics["aupr"] is metrics["low_score_auroc"] is None


@pytest.fixture(params=range(3))
def random_outcomes(request: pytest.FixtureRequest) -> pd.DataFrame:
    generator = np.random.default_rng(request.param)

    def draw(n: int, shift: float) -> list[float]:
        return list(np.round(generator.uniform(0, 0.7, n) + shift, 1 + request.param))  # rounded: many ties

    kinds = (("clean", 61, 0.0), ("noisy", 40, 0.3), ("adversarial", 50, 0.2))
    frames = [rows(kind, draw(n, shift), generator.random(n) < 0.5) for kind, n, shift in kinds]
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("percent", [1, 5])
def test_tpr_at_an_fpr_is_the_last_point_of_the_roc_curve_with_fpr_up_to_it(
    random_outcomes: pd.DataFrame, percent: int
) -> None:
    counted = random_outcomes[random_outcomes["kind"] != "noisy"]
    fpr, tpr, _ = roc_curve(counted["kind"] == "adversarial", counted["probability"], drop_intermediate=False)
    metrics = detection_metrics(random_outcomes)
    assert metrics[f"tpr_at_{percent}_fpr"].value == pytest.approx(tpr[fpr <= percent / 100].max())
    clean = random_outcomes[random_outcomes["kind"] == "clean"]["probability"]
    assert (clean > metrics[f"threshold_at_{percent}_fpr"]).mean() <= percent / 100


def test_auroc_counts_pairs_and_aupr_sums_steps(random_outcomes: pd.DataFrame) -> None:
    is_adversarial = random_outcomes["kind"] == "adversarial"
    positive = random_outcomes["probability"][is_adversarial].to_numpy()
    negative = random_outcomes["probability"][~is_adversarial].to_numpy()
    pairs = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2  # Mann-Whitney
    metrics = detection_metrics(random_outcomes)
    assert metrics["auroc"] == pytest.approx(pairs)
    assert metrics["low_score_auroc"] == pytest.approx(pairs)  # the score is minus the probability

    area, recalled = 0.0, 0.0
    for threshold in np.unique(random_outcomes["probability"])[::-1]:
        hits, alarms = (positive >= threshold).sum(), (negative >= threshold).sum()
        area += (hits / len(positive) - recalled) * hits / (hits + alarms)
        recalled = hits / len(positive)
    assert metrics["aupr"] == pytest.approx(area)


def test_the_sign_of_the_score_is_told_and_minus_infinity_is_a_low_density() -> None:
    outcomes = hand_made()
    outcomes["score_a"] = np.where(outcomes["kind"] == "adversarial", -np.inf, 0.0)
    assert detection_metrics(outcomes)["low_score_auroc"] == 1
    outcomes["score_a"] = np.where(outcomes["kind"] == "adversarial", 5.0, 0.0)
    assert detection_metrics(outcomes)["low_score_auroc"] == 0


@pytest.mark.parametrize(
    ("clean", "expected"),
    [
        ([], 1.0),
        ([0.3], 0.3),
        ([0.1 * i for i in range(19)], 1.8),  # 5 % of 19 is less than one image
        ([0.1 * i for i in range(20)], 1.8),  # of 20 it is one: the highest may be caught
        ([0.9] * 3 + [0.1] * 37, 0.9),  # 2 of 40 may be, but all three at 0.9 would
        ([0.9] * 2 + [0.1] * 38, 0.1),
    ],
)
def test_threshold_with_few_images_and_ties(clean: list[float], expected: float) -> None:
    assert threshold_at(np.array(clean), 0.05) == pytest.approx(expected)
