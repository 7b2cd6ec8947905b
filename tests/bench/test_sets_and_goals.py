"""Which images form set I and set II, and what is wanted of each; expected sets are written out by hand."""

import pytest
import torch
from torch import Tensor

from attacks.draws import Draws
from attacks.errors import RequestError
from bench.protocol import Sets, choose_goal, choose_sets

LABELS = torch.arange(60) % 10
CORRECT = torch.arange(60) % 4 != 0  # 45 of 60


def choose(protocol: str = "sound", target: str = "none", n_fit: int = 10, n_test: int = 20, seed: int = 0) -> Sets:
    return choose_sets(protocol, correct=CORRECT, labels=LABELS, target=target, n_fit=n_fit, n_test=n_test, seed=seed)


@pytest.mark.parametrize("target", ["none", "random", "least-likely", "7"])
def test_sound_sets_are_disjoint_correct_and_without_the_target_class(target: str) -> None:
    sets = choose(target=target)
    chosen = torch.cat([sets.fit, sets.test])
    assert (len(sets.fit), len(sets.test)) == (10, 20)
    assert len(chosen.unique()) == 30
    assert bool(CORRECT[chosen].all())
    assert (7 in LABELS[sets.test].tolist()) == (target != "7")


def test_sound_sets_follow_the_seed() -> None:
    assert torch.equal(choose().test, choose().test)
    assert not torch.equal(choose().test, choose(seed=1).test)


def test_a_bare_classifier_is_tested_on_misclassified_images_too() -> None:
    sets = choose(n_fit=0, n_test=60)
    assert sets.test.sort().values.tolist() == list(range(60))
    assert len(sets.fit) == 0


def test_the_papers_sets_are_the_first_images_in_order() -> None:
    sets = choose("paper", target="3", n_fit=4, n_test=8)
    assert sets.test.tolist() == list(range(8))  # wrong ones (0, 4) and those of class 3 stay
    assert sets.fit.tolist() == [9, 10, 11, 13]  # the correct ones after them; 8 and 12 are wrong


@pytest.mark.parametrize(
    ("protocol", "target", "n_fit", "n_test"),
    [("sound", "none", 26, 20), ("sound", "7", 1, 43), ("paper", "3", 31, 20)],
)
def test_too_few_correct_images_say_what_to_lower(protocol: str, target: str, n_fit: int, n_test: int) -> None:
    with pytest.raises(RequestError, match=r"only 45 of the 60 test images are classified correctly.*Lower --n-fit"):
        choose(protocol, target, n_fit, n_test)


def draws(ids: Tensor, seed: int = 0) -> Draws:
    return Draws(seed=seed, sample_ids=ids)


IDS = torch.arange(200)
TRUE = IDS % 10
LOGITS = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))


def test_no_target_is_away_from_the_true_class() -> None:
    goal = choose_goal("none", TRUE, LOGITS, draws(IDS))
    assert not goal.targeted
    assert torch.equal(goal.classes, TRUE)


def test_a_random_target_is_never_the_true_class_and_each_other_one_is_hit() -> None:
    goal = choose_goal("random", TRUE, LOGITS, draws(IDS))
    assert goal.targeted
    shifts = (goal.classes - TRUE) % 10
    assert set(shifts.tolist()) == set(range(1, 10))


def test_a_random_target_follows_seed_and_id_alone() -> None:
    whole = choose_goal("random", TRUE, LOGITS, draws(IDS)).classes
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))[:50]
    part = choose_goal("random", TRUE[order], LOGITS[order] + 1, draws(IDS[order])).classes
    assert torch.equal(part, whole[order])
    assert not torch.equal(choose_goal("random", TRUE, LOGITS, draws(IDS, seed=1)).classes, whole)


def test_least_likely_and_fixed_targets() -> None:
    least = choose_goal("least-likely", TRUE, LOGITS, draws(IDS))
    assert least.targeted
    assert least.classes.tolist() == LOGITS.numpy().argmin(axis=1).tolist()
    fixed = choose_goal("3", TRUE, LOGITS, draws(IDS))
    assert fixed.targeted
    assert fixed.classes.tolist() == [3] * 200  # images of class 3 too: the paper's protocol leaves none out
