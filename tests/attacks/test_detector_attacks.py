"""Attacks that deceive classifier and detector, on models whose optimum or outcome is known in closed form."""

from typing import Any

import pytest
import torch
from small_models import SHAPE, draws_for, linear_model, random_images, small_network
from small_watched import SmallWatched, watched_by_brightness
from torch import Generator, Tensor, nn

from attacks.adaptive import ADAPTIVE, MEMBERS, AdaptiveConfig
from attacks.black_box_detector import SQUARE_DETECTOR, TRANSFER, SquareDetectorConfig
from attacks.contract import AttackEntry, CraftedBatch, craft
from attacks.cw import CW, CwConfig
from attacks.cw_detector import CW_DETECTOR, SLACK, CwDetectorConfig
from attacks.errors import RequestError
from attacks.goal import Goal
from attacks.match import MATCH, MatchConfig
from attacks.norms import l2_distance, linf_distance
from attacks.pgd_detector import PGD_ORTHOGONAL, PGD_SELECTIVE, PgdDetectorConfig, _without
from attacks.stealthiest import Stealthiest
from attacks.watched import Seen

COUNT = 6
EPSILON = 0.3
CLIMBS = (PGD_SELECTIVE, PGD_ORTHOGONAL)


@pytest.fixture
def images() -> Tensor:
    return random_images(COUNT, low=0.35, high=0.65)


@pytest.fixture
def model() -> nn.Sequential:
    return linear_model(2)


def _goal(model: nn.Module, images: Tensor) -> Goal:
    with torch.no_grad():
        return Goal(classes=model(images).argmax(dim=1))


def _conflicting(model: nn.Sequential, images: Tensor, **options: Any) -> SmallWatched:
    """A detector that suspects what moves toward class 1, so that deceiving the classifier raises the alarm."""
    rows = model[1].weight.detach()
    generator = Generator().manual_seed(5)
    direction = (rows[1] - rows[0]).view(SHAPE) + 0.3 * torch.randn(SHAPE, generator=generator)
    threshold = float((images * direction).flatten(1).sum(dim=1).max()) + 0.2
    return SmallWatched(model, direction, threshold, random_images(60, seed=9), **options)


def _attack(
    entry: AttackEntry, watched: SmallWatched, images: Tensor, goal: Goal, config: Any, **options: Any
) -> CraftedBatch:
    return craft(entry, watched.logits_of, images, goal, config, draws_for(len(images)), watched=watched, **options)


def _suspicion(watched: SmallWatched, images: Tensor) -> Tensor:
    with torch.no_grad():
        return watched(images).suspicion


def test_cw_finds_the_nearest_point_of_two_half_spaces(model: nn.Sequential, images: Tensor) -> None:
    confidence = 1.0
    goal, watched = _goal(model, images), _conflicting(model, images)
    weight, bias = model[1].weight.detach().double(), model[1].bias.detach().double()
    config = CwDetectorConfig(confidence=confidence, search_steps=9, steps=400, learning_rate=0.02)
    crafted = _attack(CW_DETECTOR, watched, images, goal, config)
    assert bool(crafted.success.all())
    assert float(_suspicion(watched, crafted.images).max()) < 0
    flat = images.flatten(1).double()
    for number, own in enumerate(goal.classes.tolist()):
        other = 1 - own
        away = weight[other] - weight[own]
        lacking = confidence - (flat[number] @ away + bias[other] - bias[own])
        direction = watched.direction.flatten().double()
        above = flat[number] @ direction - (watched.threshold - SLACK)
        alone = away * lacking / away.square().sum()
        if (flat[number] + alone) @ direction <= watched.threshold - SLACK:
            optimum = alone  # the nearest misclassified image raises no alarm
        else:  # both constraints hold with equality
            both = torch.stack([away, direction])
            optimum = both.T @ torch.linalg.solve(both @ both.T, torch.stack([lacking, -above]))
        assert float(crafted.l2[number]) == pytest.approx(float(optimum.norm()), rel=0.02)


def test_cw_gives_the_first_phase_where_the_detector_cannot_be_deceived(model: nn.Sequential, images: Tensor) -> None:
    goal, watched = _goal(model, images), _conflicting(model, images)
    watched.threshold = -1e6  # the alarm always rings
    options = {"steps": 60, "search_steps": 3}
    crafted = _attack(CW_DETECTOR, watched, images, goal, CwDetectorConfig(**options))
    plain = craft(CW, model, images, goal, CwConfig(**options), draws_for(COUNT))
    assert bool(plain.success.all())
    assert torch.equal(crafted.images, plain.images)
    beyond = CwDetectorConfig(**options, max_l2=0.5 * float(plain.l2.min()))
    assert torch.equal(_attack(CW_DETECTOR, watched, images, goal, beyond).images, images)


@pytest.mark.parametrize("entry", CLIMBS, ids=lambda entry: entry.name)
def test_the_detector_is_deceived_where_following_the_classifier_rings_the_alarm(
    entry: AttackEntry, model: nn.Sequential, images: Tensor
) -> None:
    goal, watched = _goal(model, images), _conflicting(model, images)
    config = PgdDetectorConfig(epsilon=EPSILON, steps=60)
    ends_at_the_wall = PgdDetectorConfig(epsilon=EPSILON, steps=1, step_size=EPSILON)
    plain = _attack(TRANSFER, watched, images, goal, ends_at_the_wall)
    crafted = _attack(entry, watched, images, goal, config)
    rings = _suspicion(watched, plain.images) > 0
    assert bool(plain.success.all())
    assert int(rings.sum()) >= 2
    assert bool(crafted.success.all())
    assert float(_suspicion(watched, crafted.images).max()) < 0
    assert float(crafted.linf.max()) <= EPSILON + 1e-6


@pytest.mark.parametrize("entry", CLIMBS, ids=lambda entry: entry.name)
def test_what_is_kept_is_misclassified_and_the_least_suspicious_iterate(
    entry: AttackEntry, model: nn.Sequential, images: Tensor
) -> None:
    goal, watched = _goal(model, images), _conflicting(model, images)
    seen: list[tuple[Tensor, Tensor]] = []
    look = watched.__class__.__call__

    class Recording(SmallWatched):
        def __call__(self, images: Tensor) -> Any:
            result = look(self, images)
            seen.append((goal.margin(result.logits).detach(), result.suspicion.detach()))
            return result

    watched.__class__ = Recording
    crafted = _attack(entry, watched, images, goal, PgdDetectorConfig(epsilon=EPSILON, steps=12, confidence=0.5))
    margins, suspicions = (torch.stack(part) for part in zip(*seen, strict=True))  # (looks, n)
    allowed = margins >= 0.5
    assert bool(allowed.any(dim=0).all())
    least = suspicions.masked_fill(~allowed, torch.inf).amin(dim=0)
    assert torch.allclose(_suspicion(watched, crafted.images), least, atol=1e-4)


def test_orthogonal_steps_leave_the_other_loss_alone() -> None:
    generator = Generator().manual_seed(0)
    gradient, other = (torch.randn(4, *SHAPE, generator=generator) for _ in range(2))
    rest = _without(gradient, other)
    assert (rest * other).flatten(1).sum(dim=1).abs().max() < 1e-4
    assert torch.allclose(rest + (gradient - rest), gradient)
    assert torch.equal(_without(gradient, 2 * gradient), gradient)  # nothing would remain
    assert torch.equal(_without(gradient, torch.zeros_like(other)), gradient)


def test_matching_comes_near_to_a_guide_of_another_class() -> None:
    model, images = small_network(), random_images(COUNT, low=0.4, high=0.6)
    goal = _goal(model, images)
    watched = watched_by_brightness(model, images, random_images(80, low=0.2, high=0.8, seed=3))
    is_other = watched.guides.classes[None, :] != goal.classes[:, None]

    class Distance(SmallWatched):
        """The suspicion is the distance to the nearest guide of another class, so that the nearest iterate is kept."""

        def __call__(self, images: Tensor) -> Seen:
            logits = self.logits_of(images)
            distances = torch.cdist(logits, self.guides.representations).masked_fill(~is_other, torch.inf)
            return Seen(logits=logits, suspicion=distances.amin(dim=1), representation=logits)

    watched.__class__ = Distance
    crafted = _attack(MATCH, watched, images, goal, MatchConfig(epsilon=0.4, guides=1, steps=80))
    assert bool(crafted.success.all())
    assert bool((_suspicion(watched, crafted.images) < 0.1 * _suspicion(watched, images)).all())


def test_matching_without_a_guide_of_another_class_leaves_images_alone() -> None:
    model, images = small_network(), random_images(COUNT)
    goal = _goal(model, images)
    guides = images[goal.classes == goal.classes[0]][:1]
    watched = watched_by_brightness(model, images, guides)
    own = goal.classes == goal.classes[0]
    crafted = _attack(MATCH, watched, images, goal, MatchConfig(epsilon=0.2, steps=5))
    assert torch.equal(crafted.images[own], images[own])


def _aware(*, is_differentiable: bool) -> tuple[SmallWatched, Tensor, Goal]:
    model, images = small_network(), random_images(COUNT, low=0.3, high=0.7)
    guides = random_images(40, seed=4)
    return (
        watched_by_brightness(model, images, guides, is_differentiable=is_differentiable),
        images,
        _goal(model, images),
    )


SMALL_ADAPTIVE = AdaptiveConfig(epsilon=0.2, max_l2=2.0, steps=20, search_steps=2, guides=1, queries=150)


@pytest.mark.parametrize("is_differentiable", [True, False])
def test_the_adaptive_attack_is_the_worst_of_its_members(*, is_differentiable: bool) -> None:
    watched, images, goal = _aware(is_differentiable=is_differentiable)
    crafted = _attack(ADAPTIVE, watched, images, goal, SMALL_ADAPTIVE)
    pgd = PgdDetectorConfig(epsilon=0.2, steps=20)
    alone = (
        [
            (CW_DETECTOR, CwDetectorConfig(steps=20, search_steps=2, max_l2=2.0)),
            (PGD_SELECTIVE, pgd),
            (PGD_ORTHOGONAL, pgd),
        ]
        if is_differentiable
        else [(TRANSFER, pgd), (SQUARE_DETECTOR, SquareDetectorConfig(epsilon=0.2, queries=150))]
    )
    assert bool(crafted.success.all())
    suspicion = _suspicion(watched, crafted.images)
    assert crafted.made_by is not None
    credited = {MEMBERS[number] for number in crafted.made_by.tolist()}
    assert credited <= {entry.name for entry, _ in alone} | {MATCH.name}
    for entry, config in [*alone, (MATCH, MatchConfig(epsilon=0.2, guides=1, steps=10))]:
        member = _attack(entry, watched, images, goal, config)
        its = torch.where(member.success, _suspicion(watched, member.images), torch.inf)
        assert bool((suspicion <= its + 1e-5).all()), entry.name


def test_the_adaptive_attack_keeps_one_of_both_budgets() -> None:
    watched, images, goal = _aware(is_differentiable=True)
    for budgets in ({"epsilon": 0.02, "max_l2": 3.0}, {"epsilon": 0.2, "max_l2": 0.01}):
        config = AdaptiveConfig(**budgets, steps=15, search_steps=2, guides=1)
        crafted = _attack(ADAPTIVE, watched, images, goal, config)
        inside = linf_distance(crafted.images, images) <= budgets["epsilon"] + 1e-6
        near = l2_distance(crafted.images, images) <= budgets["max_l2"] + 1e-5
        assert bool((inside | near).all())
    assert config.keeps_one_budget


@pytest.mark.parametrize("entry", [CW_DETECTOR, *CLIMBS], ids=lambda entry: entry.name)
def test_a_detector_without_gradients_is_refused_by_what_follows_them(entry: AttackEntry) -> None:
    watched, images, goal = _aware(is_differentiable=False)
    config = entry.config() if entry is CW_DETECTOR else entry.config(epsilon=0.1)
    with pytest.raises(RequestError, match=f"{entry.name} follows .* --attack adaptive"):
        _attack(entry, watched, images, goal, config)


@pytest.mark.parametrize("entry", [CW_DETECTOR, *CLIMBS, MATCH, ADAPTIVE], ids=lambda entry: entry.name)
def test_results_do_not_depend_on_the_batch(entry: AttackEntry) -> None:
    watched, images, goal = _aware(is_differentiable=True)
    config = {
        CW_DETECTOR.name: CwDetectorConfig(steps=20, search_steps=2),
        MATCH.name: MatchConfig(epsilon=0.2, steps=5, guides=2),
        ADAPTIVE.name: SMALL_ADAPTIVE,
    }.get(entry.name, PgdDetectorConfig(epsilon=0.2, steps=10, restarts=2))
    whole = _attack(entry, watched, images, goal, config).images
    part = torch.tensor([4, 1])
    draws = draws_for(COUNT).select(part)
    alone = craft(entry, watched.logits_of, images[part], goal.select(part), config, draws, watched=watched).images
    assert torch.allclose(whole[part], alone, atol=1e-4)


def test_expectation_sees_through_noise(model: nn.Sequential, images: Tensor) -> None:
    """The mean of 60 looks has an eighth of one look's noise, so fewer images look innocent by chance alone."""
    goal = _goal(model, images)
    told = []
    for expectation in (1, 60):
        watched = _conflicting(model, images, noise=3.0)
        config = PgdDetectorConfig(epsilon=EPSILON, steps=10, expectation=expectation)
        crafted = _attack(PGD_SELECTIVE, watched, images, goal, config)
        watched._noise = 0.0
        told.append(_suspicion(watched, crafted.images).mean().item())
    assert told[1] < told[0]


def test_the_least_suspicious_success_is_kept() -> None:
    images = torch.zeros(1, 1, 1, 1)
    kept = Stealthiest.of(images, confidence=1.0)
    row = torch.zeros(1, dtype=torch.int64)
    steps = [(0.5, -9.0, True), (0.4, -10.0, False), (1.2, 3.0, True), (5.0, 3.5, False), (1.0, 2.0, True)]
    for number, (margin, suspicion, is_better) in enumerate(steps):
        better = kept.keep(row, images + number, torch.tensor([margin]), torch.tensor([suspicion]))
        assert better.item() is is_better
    assert (kept.images.item(), kept.margin.item(), kept.suspicion.item()) == (4, 1.0, 2.0)


def test_without_a_detector_there_is_nothing_to_deceive(model: nn.Sequential, images: Tensor) -> None:
    with pytest.raises(RequestError, match="bare classifier"):
        craft(CW_DETECTOR, model, images, _goal(model, images), CwDetectorConfig(), draws_for(COUNT))


def test_traces_tell_every_look() -> None:
    watched, images, goal = _aware(is_differentiable=True)
    trace = _attack(ADAPTIVE, watched, images, goal, SMALL_ADAPTIVE, traced=True).trace
    assert trace is not None
    assert {name.partition(",")[0] for _, name in trace.parts} == {
        "cw-detector",
        "pgd-selective",
        "pgd-orthogonal",
        "match",
    }
    assert not trace.margin.isnan().all(dim=0).all()
