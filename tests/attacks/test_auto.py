"""AutoAttack is the per-image worst case of its members: an image stands only where every one of them failed.

Expected orders and passes come from members that do what they are told; expected outcomes from each real member alone.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from small_models import draws_for, probe_for, random_images, small_network
from torch import Tensor

from attacks.apgd import APGD_CE, APGD_DLR, ApgdConfig
from attacks.apgd_targeted import APGD_T, ApgdTargetedConfig
from attacks.auto import AUTO, AutoConfig, auto
from attacks.contract import AttackEntry, craft
from attacks.draws import Draws
from attacks.errors import RequestError
from attacks.fab import FAB, FabConfig
from attacks.goal import Goal
from attacks.probe import Probe
from attacks.square import SQUARE, SquareConfig

MEMBERS = {"APGD_CE": APGD_CE, "APGD_DLR": APGD_DLR, "APGD_T": APGD_T, "FAB": FAB, "SQUARE": SQUARE}
CONFIG = AutoConfig(epsilon=0.3)
COUNT = 40

Told = list[tuple[str, list[int], Any]]


def _pixel_model(images: Tensor) -> Tensor:
    """Images of one pixel, (n, 1, 1, 1) -> logits (1, 4 x - 2, 0, 0): away from class 0 the margin is 4 x - 3 or -1."""
    pixel = images.flatten(1)
    return torch.cat([torch.ones_like(pixel), 4 * pixel - 2, 0 * pixel, 0 * pixel], dim=1)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, dict[int, float]]], Told]:
    """Replace the members: each sets the pixels of some images, after as many looks as its place in `MEMBERS`."""

    def replace_all(pixels: dict[str, dict[int, float]]) -> Told:
        calls: Told = []

        def member(name: str) -> Callable[[Probe, Tensor, Any, Draws], Tensor]:
            def attack(probe: Probe, images: Tensor, config: Any, draws: Draws) -> Tensor:
                ids = draws.sample_ids.tolist()
                calls.append((name, ids, config))
                for step in range(1 + list(MEMBERS).index(name)):
                    probe.margin(images, torch.arange(len(images)), step=step)
                chosen = [pixels.get(name, {}).get(image, float(old)) for image, old in zip(ids, images, strict=True)]
                return torch.tensor(chosen).view_as(images)

            return attack

        for name, entry in MEMBERS.items():
            monkeypatch.setattr(f"attacks.auto.{name}", replace(entry, attack=member(name)))
        return calls

    return replace_all


def _pixel_probe(classes: list[int], *, targeted: bool = False) -> Probe:
    goal = Goal(classes=torch.tensor(classes), targeted=targeted)
    return probe_for(_pixel_model, goal, traced=True)


def test_members_follow_each_other_and_each_gets_what_still_stands(told: Callable[..., Told]) -> None:
    # a pixel above 0.75 is broken
    calls = told({"APGD_CE": {1: 0.8, 3: 0.7}, "APGD_T": {0: 0.6, 4: 0.9}, "FAB": {3: 0.65}, "SQUARE": {0: 0.76}})
    images = torch.full((5, 1, 1, 1), 0.5)
    probe = _pixel_probe([0] * 5)
    crafted = auto(probe, images, CONFIG, draws_for(5))
    assert [(name, ids) for name, ids, _ in calls] == [
        ("APGD_CE", [0, 1, 2, 3, 4]),
        ("APGD_T", [0, 2, 3, 4]),
        ("FAB", [0, 2, 3]),
        ("SQUARE", [0, 2, 3]),
    ]
    assert [AUTO.members[number] for number in probe.made_by.tolist()] == [
        "square",
        "apgd-ce",
        "apgd-ce",
        "apgd-ce",
        "apgd-t",
    ]
    # broken by whom; image 2 by nobody; image 3 by nobody, and nearest to it was the first member's 0.7
    assert crafted.flatten().tolist() == pytest.approx([0.76, 0.8, 0.5, 0.7, 0.9])


def test_no_member_is_called_once_all_are_broken(told: Callable[..., Told]) -> None:
    calls = told({"APGD_CE": {0: 0.8}, "APGD_T": {1: 0.8}})
    auto(_pixel_probe([0, 0]), torch.full((2, 1, 1, 1), 0.5), CONFIG, draws_for(2))
    assert [name for name, _, _ in calls] == ["APGD_CE", "APGD_T"]


def test_a_member_that_barely_breaks_an_image_leaves_it_to_the_others(told: Callable[..., Told]) -> None:
    calls = told({"APGD_CE": {0: 0.75 + 1e-5}})  # a margin of 4e-5 may turn in another batch shape
    auto(_pixel_probe([0]), torch.full((1, 1, 1, 1), 0.5), CONFIG, draws_for(1))
    assert len(calls) == 4


def test_credit_goes_to_whose_image_is_given_back(told: Callable[..., Told]) -> None:
    told({"APGD_CE": {0: 0.6, 1: 0.75 + 1e-5}, "FAB": {0: 0.7, 1: 0.9}})
    images, goal = torch.full((2, 1, 1, 1), 0.55), Goal(classes=torch.zeros(2, dtype=torch.int64))
    crafted = craft(AUTO, _pixel_model, images, goal, CONFIG, draws_for(2))
    assert crafted.made_by is not None
    assert [AUTO.members[number] for number in crafted.made_by] == ["fab", "fab"]  # one of them barely broken before
    assert crafted.success.tolist() == [False, True]
    plain = craft(APGD_CE, _pixel_model, images, goal, ApgdConfig(epsilon=0.1, steps=2), draws_for(2))
    assert plain.made_by is None


def test_passes_and_traces_of_the_members_are_taken_in(told: Callable[..., Told]) -> None:
    told({"APGD_CE": {1: 0.8}})
    images = torch.tensor([0.5, 0.6]).view(2, 1, 1, 1)
    probe = _pixel_probe([0, 0])
    auto(probe, images, CONFIG, draws_for(2))
    # looks a member, the last of which is auto's own at what came back: 1 + 1, 3 + 1, 4 + 1, 5 + 1
    assert probe.passes == 2 * 2 + 1 * (4 + 5 + 6)
    trace = probe.trace()
    assert trace is not None
    assert trace.margin.shape == (2, 2 + 4 + 5 + 6)
    assert torch.allclose(trace.margin[0], torch.full((17,), -1.0))  # 4 * 0.5 - 3, at every look
    assert torch.allclose(trace.margin[1, :2], torch.tensor([-0.6, 0.2]))  # 4 * 0.6 - 3, then 4 * 0.8 - 3
    assert trace.margin[1, 2:].isnan().all()


def test_vanished_gradients_of_all_members_are_put_together() -> None:
    def flat(images: Tensor) -> Tensor:  # no slope at all
        return _pixel_model((4 * images).round() / 4)

    probe = probe_for(flat, Goal(classes=torch.zeros(2, dtype=torch.int64)))
    images = torch.full((2, 1, 1, 1), 0.5)
    auto(probe, images, AutoConfig(epsilon=0.1, steps=2, targets=2, queries=2), draws_for(2))
    assert probe.vanished.all()
    # the cross-entropy is flat where the softmax saturates; the ratio of logits is not
    probe = probe_for(lambda images: 1e4 * _pixel_model(images), Goal(classes=torch.zeros(2, dtype=torch.int64)))
    auto(probe, images, AutoConfig(epsilon=0.1, steps=2, targets=2, queries=2), draws_for(2))
    assert not probe.vanished.any()


@pytest.mark.parametrize("targeted", [False, True])
def test_members_get_autoattacks_own_parameters(told: Callable[..., Told], targeted: bool) -> None:
    # Croce & Hein 2020, section 5: 100 steps of APGD and FAB, 9 targets, one start of each, 5,000 queries of Square
    calls = told({})
    auto(_pixel_probe([int(targeted)], targeted=targeted), torch.zeros(1, 1, 1, 1), CONFIG, draws_for(1))
    second = "APGD_DLR" if targeted else "APGD_T"  # toward one class of the user's there is nothing to choose
    assert [name for name, _, _ in calls] == ["APGD_CE", second, "FAB", "SQUARE"]
    expected = {"steps": 100, "targets": 9, "restarts": 1, "queries": 5000, "until": "success", "epsilon": 0.3}
    for _, _, config in calls:
        options = {field.name: getattr(config, field.name) for field in fields(config)}
        assert options == {name: expected[name] for name in options}


# ---- the members themselves

SMALL = AutoConfig(epsilon=0.035, steps=5, targets=3, queries=20)


def _alone(targeted: bool) -> list[tuple[AttackEntry, Any]]:
    """The members with the budget of `SMALL`, written out."""
    plain = ApgdConfig(epsilon=0.035, steps=5, until="success")
    away = (APGD_T, ApgdTargetedConfig(epsilon=0.035, steps=5, targets=3, until="success"))
    return [
        (APGD_CE, plain),
        (APGD_DLR, plain) if targeted else away,
        (FAB, FabConfig(epsilon=0.035, steps=5, targets=3, until="success")),
        (SQUARE, SquareConfig(epsilon=0.035, queries=20)),
    ]


@pytest.mark.parametrize("targeted", [False, True])
def test_an_image_is_broken_where_any_member_breaks_it_alone(targeted: bool) -> None:
    network, images, draws = small_network(), random_images(COUNT, seed=4), draws_for(COUNT, seed=3)
    with torch.no_grad():
        ranked = network(images).argsort(dim=1, descending=True)
    goal = Goal(classes=ranked[:, int(targeted)], targeted=targeted)  # the predicted class, or the next
    alone = [craft(entry, network, images, goal, config, draws) for entry, config in _alone(targeted)]
    broken = torch.stack([crafted.success for crafted in alone])  # (members, n)
    crafted = craft(AUTO, network, images, goal, SMALL, draws)
    assert torch.equal(crafted.success, broken.any(dim=0))
    assert 5 < int(crafted.success.sum()) < COUNT - 5
    assert crafted.linf.max() <= 0.035 + 1e-6
    with torch.no_grad():
        predicted = network(crafted.images).argmax(dim=1)
    assert torch.equal((predicted == goal.classes) == targeted, crafted.success)
    # no image looks worse than to the most damaging member, beyond which it was not worked on
    most = torch.stack([one.margin for one in alone]).amax(dim=0)
    standing = ~crafted.success
    assert torch.allclose(crafted.margin[standing], most[standing], atol=1e-5)
    # the first member saw every image, the others only what was left
    assert crafted.passes < sum(one.passes for one in alone) + len(alone) * COUNT
    assert torch.equal(
        craft(
            AUTO, network, images[7:9], goal.select(torch.tensor([7, 8])), SMALL, draws.select(torch.tensor([7, 8]))
        ).success,
        crafted.success[7:9],
    )


@pytest.mark.parametrize("changes", [{"epsilon": 0.0}, {"steps": 0}, {"targets": 0}, {"queries": -1}])
def test_options_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    (name,) = changes
    with pytest.raises(RequestError, match=name):
        AutoConfig(**({"epsilon": 0.1} | changes))
