"""What a probe checks, counts and traces. Expected values are worked out by hand or recomputed from recorded images."""

import pytest
import torch
from small_models import Recorder, draws_for, probe_for, random_images
from torch import Tensor, nn

from attacks.contract import craft
from attacks.draws import Draws
from attacks.errors import ModelError
from attacks.goal import Goal
from attacks.losses import cross_entropy_loss, margin_loss
from attacks.pgd import PGD, PgdConfig, pgd
from attacks.probe import Probe

IDS = torch.tensor([40, 41, 42, 43])
AWAY_FROM_0 = Goal(classes=torch.zeros(4, dtype=torch.int64))


def _pixels(*values: float) -> Tensor:
    """Images of one pixel each."""
    return torch.tensor(values).view(-1, 1, 1, 1)


def _two_logits(second: Tensor) -> Tensor:
    """(n, 1, 1, 1) -> logits (n, 2), the first of which is 0."""
    return torch.cat([torch.zeros(len(second), 1), second.flatten(1)], dim=1)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_no_numbers_are_reported_with_images_and_step(value: float) -> None:
    probe = Probe(lambda images: _two_logits(torch.where(images > 0.8, value, images)), AWAY_FROM_0, IDS)
    rows = torch.tensor([3, 0, 2])  # a part of the images, in another order
    for ask in (probe.logits, probe.margin):
        ask(_pixels(0.1, 0.2, 0.3), rows, step=6)
        with pytest.raises(ModelError, match=r"NaN or infinite logits at step 7 for images 43, 42$"):
            ask(_pixels(0.9, 0.2, 0.9), rows, step=7)
    with pytest.raises(ModelError, match=r"logits at step 8 for images 40$"):
        probe.gradient(_pixels(0.1, 0.9, 0.3), rows, cross_entropy_loss, step=8)


@pytest.mark.parametrize("factor", [1, 0])
def test_gradients_that_are_no_numbers_are_reported_with_images_and_step(factor: int) -> None:
    # the root's slope at 0 is infinite, and 0 times that is NaN; the logits are fine
    probe = Probe(lambda images: _two_logits(factor * images.sqrt()), AWAY_FROM_0, IDS)
    with pytest.raises(ModelError, match=r"NaN or infinite gradients at step 2 for images 41, 43$"):
        probe.gradient(_pixels(0.0, 0.5, 0.0), torch.tensor([1, 2, 3]), margin_loss, step=2)


def test_an_error_names_ten_images_and_counts_the_rest() -> None:
    goal = Goal(classes=torch.zeros(13, dtype=torch.int64))
    probe = Probe(lambda images: _two_logits(images * torch.nan), goal, torch.arange(100, 113))
    with pytest.raises(ModelError, match=r"100, 101, .*, 109 and 3 more$"):
        probe.logits(torch.ones(13, 1, 1, 1), torch.arange(13), step=0)


def test_an_attack_that_meets_nan_on_its_way_ends_with_the_images_and_the_step(
    network: nn.Sequential, images: Tensor, goal: Goal
) -> None:
    looks = 0

    def fails_late(batch: Tensor) -> Tensor:
        nonlocal looks
        looks += 1  # the first is of the clean images, so the fourth is the attack's third: step 2
        return network(batch) * torch.where(torch.arange(14) == 5, torch.nan, 1.0)[:, None] ** (looks == 4)

    draws = Draws(seed=0, sample_ids=torch.arange(200, 214))
    config = PgdConfig(epsilon=0.1, step_size=0.05, steps=5)
    with pytest.raises(ModelError, match=r"at step 2 for images 205$"):
        craft(PGD, fails_late, images, goal, config, draws)


def test_gradients_vanish_where_every_one_asked_for_was_zero() -> None:
    probe = Probe(lambda images: _two_logits(torch.relu(images - 0.5)), AWAY_FROM_0, IDS)  # no slope below 0.5
    assert not probe.vanished.any()  # nothing was asked for
    for step, pixels in enumerate([_pixels(0.2, 0.2, 0.7), _pixels(0.3, 0.7, 0.2)]):
        probe.gradient(pixels, torch.tensor([0, 1, 2]), cross_entropy_loss, step=step)
    probe.logits(_pixels(0.2), torch.tensor([3]), step=2)
    assert probe.vanished.tolist() == [True, False, False, False]


def test_a_look_has_margin_loss_and_slope_of_the_images_it_was_given() -> None:
    goal = Goal(classes=torch.tensor([0, 1, 0, 1]))
    probe = Probe(lambda images: _two_logits(3 * images.square()), goal, IDS)
    look = probe.gradient(_pixels(0.5, 0.4), torch.tensor([1, 2]), margin_loss, step=0)
    # logits 0 and 3 x^2: away from class 1 the margin is -3 x^2 with slope -6 x, away from class 0 its opposite
    assert torch.allclose(look.logits, torch.tensor([[0, 0.75], [0, 0.48]]))
    assert torch.allclose(look.margin, torch.tensor([-0.75, 0.48]))
    assert torch.equal(look.loss, look.margin)
    assert torch.allclose(look.gradient.flatten(), torch.tensor([-3.0, 2.4]))
    assert not any(part.requires_grad for part in (look.logits, look.margin, look.loss, look.gradient))
    assert torch.equal(probe.margin(_pixels(0.5, 0.4), torch.tensor([1, 2]), step=1), look.margin)


def test_a_margin_that_another_batch_shape_could_turn_is_not_broken_beyond_doubt() -> None:
    probe = Probe(_two_logits, AWAY_FROM_0, IDS)  # float32 sums of logits differ by far less than 0.001
    margin = torch.tensor([0.0009, 0.0011, 0.0, -1.0])
    assert probe.is_broken(torch.ones(4, 1, 1, 1), torch.arange(4), margin).tolist() == [False, True, False, False]
    assert probe.passes == 0


def test_passes_are_the_images_that_went_through_the_model(network: nn.Sequential, images: Tensor, goal: Goal) -> None:
    recorder = Recorder(network)
    probe = probe_for(recorder, goal)
    probe.gradient(images, torch.arange(14), cross_entropy_loss, step=0)
    probe.logits(images[:5], torch.arange(5), step=1)
    probe.margin(images[3:], torch.arange(3, 14), step=2)
    assert probe.passes == sum(len(batch) for batch in recorder.seen) == 14 + 5 + 11


def test_the_trace_is_what_a_replay_of_the_recorded_images_gives(
    network: nn.Sequential, images: Tensor, goal: Goal
) -> None:
    recorder = Recorder(network)
    probe = probe_for(recorder, goal, traced=True)
    config = PgdConfig(epsilon=0.06, step_size=0.02, steps=4, restarts=2, until="success")
    pgd(probe, images, config, draws_for(14))
    trace = probe.trace()
    assert trace is not None
    assert trace.margin.shape == (14, 10)  # two restarts of four steps and a last look
    assert torch.equal(trace.margin.isnan(), trace.loss.isnan())
    rows = torch.arange(14)
    for step, batch in enumerate(recorder.seen):
        assert torch.equal((~trace.margin[:, step].isnan()).nonzero().flatten(), rows)
        assert len(batch) == len(rows)
        with torch.no_grad():
            logits = network(batch)
        true = logits[torch.arange(len(rows)), goal.classes[rows]]
        others = logits.scatter(1, goal.classes[rows, None], -torch.inf).amax(dim=1)
        assert torch.allclose(trace.margin[rows, step], others - true, atol=1e-5)
        assert torch.allclose(trace.loss[rows, step], logits.logsumexp(dim=1) - true, atol=1e-5)
        rows = rows[others - true <= 1e-3]
    assert 0 < len(rows) < 14  # some had left by the end, and some had not


def test_there_is_no_trace_unless_asked_for(network: nn.Sequential, goal: Goal) -> None:
    probe = probe_for(network, goal)
    probe.logits(random_images(14), torch.arange(14), step=0)
    assert probe.trace() is None
