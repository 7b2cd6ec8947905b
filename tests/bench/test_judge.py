"""The judge, with a classifier whose logits can be read off two pixels: 10 times the first, 10 times the second."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from attacks.cw import CwConfig
from attacks.errors import AttackError, ModelError
from attacks.fgsm import FgsmConfig
from attacks.goal import Goal
from bench.judge import Exhibit, decide, judge
from defenses.contract import Classifier
from defenses.detectors.decision import Decision

CLEAN = torch.tensor([[0.8, 0.3], [0.8, 0.3], [0.2, 0.6], [0.2, 0.6]]).view(4, 1, 1, 2)
LABELS = torch.tensor([0, 1, 1, 0])


def two_pixels() -> Classifier:
    linear = nn.Linear(2, 2, bias=False)
    linear.weight.data = 10 * torch.eye(2)
    return Classifier(normalization=nn.Identity(), encoder=nn.Flatten(), head=nn.Sequential(linear)).eval()


def attacked(images: Tensor, config: Any = None, goal: Goal | None = None) -> Exhibit:
    return Exhibit(
        role="test",
        kind="adversarial",
        sample_ids=torch.tensor([5, 6, 7, 8]),
        labels=LABELS,
        images=images,
        clean=CLEAN,
        goal=goal or Goal(classes=LABELS),
        config=config,
    )


def moved(first: float, second: float) -> Tensor:
    return CLEAN + torch.tensor([first, second]).view(1, 1, 1, 2)


def test_logits_that_are_not_finite_are_an_error_that_names_the_images() -> None:
    class Overflowing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return two_pixels()(images) / torch.where(images[:, 0, 0, :1] < 0.5, 0.0, 1.0)  # the third and fourth

    with pytest.raises(ModelError, match="NaN or infinite logits for test images 7, 8; nothing is counted"):
        judge(Overflowing(), None, replace(attacked(CLEAN), kind="clean", goal=None))


def test_clean_images() -> None:
    exhibit = replace(attacked(CLEAN), kind="clean", goal=None)
    table = judge(two_pixels(), None, exhibit)
    assert table["sample_id"].tolist() == [5, 6, 7, 8]
    assert table["label"].tolist() == [0, 1, 1, 0]
    assert table["prediction"].tolist() == [0, 0, 1, 1]
    assert table["correct"].tolist() == [True, False, True, False]
    assert table["goal_class"].tolist() == [-1] * 4
    assert table["margin"].isna().all()
    assert not table["reached"].any()
    assert (table["l2"] == 0).all()
    assert (table["linf"] == 0).all()
    assert set(table["kind"]) == {"clean"}


def test_everything_is_measured_on_the_images() -> None:
    table = judge(two_pixels(), None, attacked(moved(-0.2, 0.1)))  # 0.6 against 0.4; 0.0 against 0.7
    assert table["prediction"].tolist() == [0, 0, 1, 1]
    assert table["margin"].tolist() == pytest.approx([-2, 2, -7, 7], abs=1e-4)
    assert table["reached"].tolist() == [False, True, False, True]
    assert table["l2"].tolist() == pytest.approx([0.05**0.5] * 4, abs=1e-6)
    assert table["linf"].tolist() == pytest.approx([0.2] * 4, abs=1e-6)


def test_an_attack_that_did_nothing_reached_nothing_whatever_it_says() -> None:
    table = judge(two_pixels(), None, attacked(CLEAN, CwConfig(confidence=6)))
    assert table["margin"].tolist() == pytest.approx([-5, 5, -4, 4], abs=1e-4)
    assert not table["reached"].any()  # 5 and 4 are misclassified already, but not with confidence 6
    assert judge(two_pixels(), None, attacked(CLEAN, CwConfig(confidence=4.5)))["reached"].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(("confidence", "is_reached"), [(5.0, True), (5.0005, True), (5.01, False), (0.0, True)])
def test_confidence_is_met_up_to_float32_rounding(confidence: float, is_reached: bool) -> None:
    table = judge(two_pixels(), None, attacked(CLEAN, CwConfig(confidence=confidence)))
    assert table["reached"][1] == is_reached  # its margin is 5


def test_a_margin_of_zero_is_not_reached() -> None:
    table = judge(two_pixels(), None, attacked(torch.full_like(CLEAN, 0.5), CwConfig(confidence=0)))
    assert not table["reached"].any()


def test_targets_are_to_be_predicted() -> None:
    goal = Goal(classes=torch.tensor([1, 1, 0, 0]), targeted=True)
    table = judge(two_pixels(), None, attacked(moved(-0.2, 0.4), goal=goal))  # 0.6 against 0.7; 0.0 against 1.0
    assert table["goal_class"].tolist() == [1, 1, 0, 0]
    assert table["margin"].tolist() == pytest.approx([1, 1, -10, -10], abs=1e-4)
    assert table["reached"].tolist() == [True, True, False, False]


def test_what_is_farther_than_max_l2_is_not_reached() -> None:
    images = moved(-0.2, 0.1)
    near = judge(two_pixels(), None, attacked(images, CwConfig(max_l2=0.2237)))  # sqrt(0.05) = 0.2236
    far = judge(two_pixels(), None, attacked(images, CwConfig(max_l2=0.2234)))
    assert near["reached"].tolist() == [False, True, False, True]
    assert not far["reached"].any()


@pytest.mark.parametrize("images", [moved(-0.3, 0), moved(0, 0.5), CLEAN * torch.nan])
def test_images_outside_the_box_count_for_nothing(images: Tensor) -> None:
    with pytest.raises(AttackError, match=r"leave \[0, 1\]"):
        judge(two_pixels(), None, attacked(images))


def test_images_outside_the_ball_count_for_nothing() -> None:
    judge(two_pixels(), None, attacked(moved(-0.1, 0.1), FgsmConfig(epsilon=0.1)))
    with pytest.raises(AttackError, match=r"0\.1000 from the clean ones, the budget is 0\.09"):
        judge(two_pixels(), None, attacked(moved(-0.1, 0.1), FgsmConfig(epsilon=0.09)))


@dataclass
class FirstPixel:
    """A detector whose scores are the first pixel and the class it was told."""

    score_names: tuple[str, ...] = ("pixel", "class")

    def scores(self, classifier: Classifier, images: Tensor, predictions: Tensor) -> Tensor:
        return torch.stack([images[:, 0, 0, 0].double(), predictions.double()], dim=1)

    def tensors(self) -> dict[str, Tensor]:
        return {}


def test_scores_are_of_the_image_and_its_predicted_class() -> None:
    table = judge(two_pixels(), FirstPixel(), attacked(moved(-0.2, 0.4)))
    assert table["score_pixel"].tolist() == pytest.approx([0.6, 0.6, 0, 0], abs=1e-6)
    assert table["score_class"].tolist() == [1, 1, 1, 1]


def decided(*, only_reached: bool) -> pd.DataFrame:
    roles = ["fit", "test", "test", "test", "test"]
    kinds = ["adversarial", "adversarial", "adversarial", "clean", "noisy"]
    reached = [False, False, True, False, False]
    table = pd.DataFrame({"role": roles, "kind": kinds, "reached": reached, "score_a": [-2.0, 0.0, 2.0, 0.5, -0.5]})
    one = torch.ones(1).double().numpy()
    return decide(table, Decision(mean=one, scale=2 * one, weights=-one, intercept=0.5), only_reached=only_reached)


def test_the_verdict_is_the_logistic_function_from_one_half_on() -> None:
    table = decided(only_reached=False)
    # log-odds 0.5 - (score - 1) / 2 = 2, 1, 0, 0.75, 1.25
    expected = [0.8808, 0.7311, 0.5, 0.6792, 0.7773]
    assert table["probability"].tolist() == pytest.approx(expected, abs=1e-4)
    assert table["flagged"].tolist() == [True] * 5
    assert table["judged"].tolist() == [True] * 5


def test_only_adversarial_images_of_set_two_can_stop_counting() -> None:
    assert decided(only_reached=True)["judged"].tolist() == [True, False, True, True, True]
