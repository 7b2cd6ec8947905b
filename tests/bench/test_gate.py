"""Which changes close the gate, by which test, and what is refused. P-values are closed forms of a fair coin."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hand_made import SPEC, cell
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from attacks.errors import RequestError
from bench.gate.measured import Measured
from bench.gate.verdicts import DROPPED, GUARDED, IMPROVED, SAME, WEAKER_ATTACK, Change, compare, require_same_run


def one(before: Measured, after: Measured, tolerance: float | None = None) -> Change:
    ((change,),) = compare([(before, after)], tolerance)
    return change


# ---- pairs


def test_pairs_are_compared_by_mcnemar() -> None:
    before = cell({"detection_rate": "1" * 20 + "0" * 20 + "...."})
    after = cell({"detection_rate": "1" * 11 + "0" * 28 + "1" + "1..."})
    change = one(before, after)
    assert change.test == "exact McNemar on 40 paired outcomes (9 lost, 1 won)"
    assert change.p == pytest.approx(2 * 11 / 1024)
    assert (change.verdict, change.decided_by, change.fails) == (DROPPED, "test", True)
    assert change.difference == pytest.approx(13 / 41 - 20 / 40)


def test_a_handful_of_changed_images_does_not_close_the_gate() -> None:
    change = one(cell({"robust_accuracy": "1" * 5 + "0" * 95}), cell({"robust_accuracy": "0" * 100}))
    assert change.p == pytest.approx(2 / 32)
    assert (change.verdict, change.fails) == (SAME, False)


def test_all_tests_of_a_check_share_one_level() -> None:
    fallen = cell({"detection_rate": "1" * 8 + "0" * 12}), cell({"detection_rate": "0" * 20})
    still = cell({"acc_com": "10" * 10}), cell({"acc_com": "10" * 10})
    assert one(*fallen).p == pytest.approx(2 / 256)
    assert one(*fallen).verdict == DROPPED
    several = compare([fallen, *[still] * 6])
    assert several[0][0].p == pytest.approx(7 * 2 / 256)
    assert several[0][0].verdict == SAME
    assert {change.p for (change,) in several[1:]} == {1.0}


# ---- which way


@pytest.mark.parametrize(
    ("metric", "rise", "fall"),
    [
        ("clean_accuracy", IMPROVED, DROPPED),
        ("accuracy_on_attacked", IMPROVED, DROPPED),
        ("acc_nadv", IMPROVED, DROPPED),
        ("acc_com", IMPROVED, DROPPED),
        ("detection_rate", IMPROVED, DROPPED),
        ("tpr_at_5_fpr", IMPROVED, DROPPED),
        ("false_positive_rate", DROPPED, IMPROVED),
        ("success_rate_at_5_fpr", DROPPED, IMPROVED),
        ("robust_accuracy", WEAKER_ATTACK, DROPPED),
        ("reached", DROPPED, WEAKER_ATTACK),
        ("attack_success_rate", DROPPED, WEAKER_ATTACK),
    ],
)
def test_the_side_that_counts_as_a_drop(metric: str, rise: str, fall: str) -> None:
    few, many = cell({metric: "1" * 10 + "0" * 90}), cell({metric: "1" * 60 + "0" * 40})
    assert one(few, many).verdict == rise
    assert one(many, few).verdict == fall
    assert one(many, many).verdict == SAME
    assert one(many, few).fails == (fall != IMPROVED)


@pytest.mark.parametrize(
    ("metric", "larger", "smaller"),
    [("median_l2", WEAKER_ATTACK, DROPPED), ("median_margin", DROPPED, WEAKER_ATTACK)],
)
def test_an_attack_that_succeeds_as_often_but_less_well_is_caught(metric: str, larger: str, smaller: str) -> None:
    values = np.random.default_rng(0).uniform(1, 2, 60)
    before = cell(strengths=values.tolist(), numbers={metric: float(np.median(values))})
    after = cell(strengths=(1.3 * values).tolist(), numbers={metric: float(np.median(1.3 * values))})
    change = one(before, after)
    assert change.test == "paired bootstrap over 60 images"
    assert change.p is not None
    assert change.p < 1e-6
    assert (change.verdict, one(after, before).verdict) == (larger, smaller)
    # 5 % more is as surely no chance, but what another machine's training may bring
    nearly = cell(strengths=(1.05 * values).tolist(), numbers={metric: float(np.median(1.05 * values))})
    assert one(before, nearly).p < 1e-6
    assert one(before, nearly).verdict == SAME


def test_every_metric_has_a_side() -> None:
    assert {guarded.better for guarded in GUARDED.values()} == {-1, 1}


def test_a_metric_that_the_baseline_lacks_closes_nothing() -> None:
    few = cell({"detection_rate": "1" * 10 + "0" * 90})
    more = cell({"detection_rate": "1" * 10 + "0" * 90, "tpr_at_1_fpr": "0" * 100, "acc_com": "0" * 100})
    (changes,) = compare([(few, more)])
    assert [(change.metric, change.verdict, change.p) for change in changes] == [
        ("acc_com", SAME, None),
        ("detection_rate", SAME, 1.0),
    ]


# ---- without pairs


def test_other_images_are_compared_as_independent_shares() -> None:
    before = cell({"acc_com": "1" * 80 + "0" * 20})
    after = cell({"acc_com": "1" * 50 + "0" * 50}, sample_ids=list(range(60, 160)))
    change = one(before, after)
    assert change.test.startswith("independent proportions, Newcombe 95 % interval of the difference [-0.4")
    # two shares of 100: the pooled z-test is near it
    pooled = 0.65
    z = 0.3 / np.sqrt(2 * pooled * (1 - pooled) / 100)
    assert change.p == pytest.approx(2 * norm.sf(z), rel=0.6)
    assert change.verdict == DROPPED


def test_half_of_the_images_in_common_is_enough_for_pairs() -> None:
    before = cell({"acc_com": "1" * 40})
    assert "20 paired" in one(before, cell({"acc_com": "1" * 40}, sample_ids=list(range(20, 60)))).test
    assert "independent" in one(before, cell({"acc_com": "1" * 40}, sample_ids=list(range(21, 61)))).test


def test_a_rate_without_outcomes_is_compared_by_its_counts() -> None:
    before, after = (cell({}, counts={"clean_accuracy": (k, 500)}, strengths=[None]) for k in (480, 430))
    assert "Newcombe" in one(before, after).test
    assert (one(before, after).verdict, one(after, before).verdict) == (DROPPED, IMPROVED)


def test_no_cases_is_no_test() -> None:
    change = one(cell({"detection_rate": "11111"}), cell({"detection_rate": "....."}))
    assert (change.test, change.p, change.difference) == ("nothing to compare", None, None)
    assert not change.fails


# ---- AUROC


def detector(adversarial_ranks: list[int]) -> Measured:
    benign = list(range(1, 81))
    ranks = {"clean": benign[:40], "noisy": benign[40:], "adversarial": list(adversarial_ranks)}
    labels = [0] * 80 + [1] * len(adversarial_ranks)
    value = roc_auc_score(labels, benign + list(adversarial_ranks))
    return cell(ranks=ranks, numbers={"auroc": value}, strengths=[None] * 40)


def test_shuffled_scores_show_in_auroc() -> None:
    good, shuffled = detector(list(range(60, 100))), detector([2 * rank for rank in range(1, 41)])
    change = one(good, shuffled)
    assert change.difference < -0.3
    assert (change.test, change.verdict) == ("paired bootstrap over 40 images", DROPPED)
    assert one(shuffled, good).verdict == IMPROVED
    assert one(good, good).p == 1.0


def test_too_few_cases_for_a_bootstrap_leave_it_to_the_tolerance() -> None:
    before, after = (cell(strengths=[value] * 19, numbers={"median_l2": value}) for value in (1.0, 2.0))
    assert one(before, after).test == "too few cases for a test (19 < 20)"
    assert (one(before, after).p, one(before, after).verdict) == (None, SAME)
    change = one(before, after, tolerance=0.5)
    assert (change.verdict, change.decided_by) == (WEAKER_ATTACK, "tolerance")


# ---- tolerance


def test_beyond_the_tolerance_a_change_counts_without_a_test() -> None:
    before, after = cell({"acc_com": "1" * 10}), cell({"acc_com": "1" * 8 + "00"})
    assert one(before, after).verdict == SAME
    assert one(before, after, tolerance=0.21).verdict == SAME
    change = one(before, after, tolerance=0.19)
    assert (change.verdict, change.decided_by, change.p) == (DROPPED, "tolerance", 0.5)
    assert one(after, before, tolerance=0.19).verdict == IMPROVED


# ---- what is not compared


def refused(known: Measured, **changes: Any) -> str:
    spec = changes.pop("spec", SPEC)
    with pytest.raises(RequestError) as refusal:
        require_same_run(known, spec, **({"run_id": "r", "dataset_digest": "d"} | changes))
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_another_protocol_other_images_or_another_spec_are_refused_by_name() -> None:
    known = cell({"reached": "1"})
    require_same_run(known, SPEC, "r", "d")
    message = refused(known, spec=SPEC | {"protocol": "paper"}, run_id="x")
    assert "standard · pgd: the baseline is of protocol sound, this is paper" in message
    assert "of other images (digest d, here e)" in refused(known, dataset_digest="e", run_id="x")
    message = refused(known, spec=SPEC | {"attack_config": {"epsilon": 0.2}}, run_id="x")
    assert "of another run (epsilon 0.1; here epsilon 0.2)" in message
    assert "--update" in message
    assert "another schema" in refused(replace(known, run_id="old"))
