"""Square attack: its squares, what it keeps, and what it breaks that gradients do not.

The sides of the squares are worked out by hand from the schedule; what is kept is followed query by query from what
the model was shown. Success is compared with torchattacks.
"""

from dataclasses import replace

import pytest
import torch
from digits_network import digits_network, recognized
from small_models import Recorder, draws_for, linear_model, random_images
from torch import Tensor, nn

from attacks.contract import CraftedBatch, craft
from attacks.draws import Draws
from attacks.errors import RequestError
from attacks.goal import Goal, Logits
from attacks.pgd import PGD, PgdConfig
from attacks.square import SQUARE, SquareConfig, side_at

CONFIG = SquareConfig(epsilon=0.1, queries=300)


def _square(model: Logits, images: Tensor, goal: Goal, config: SquareConfig) -> CraftedBatch:
    return craft(SQUARE, model, images, goal, config, draws_for(len(images)))


def _predicted(model: Logits, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(dim=1)


# sqrt(0.8 * 784) = 25.04, and then with the share halved at each threshold: 17.7, 12.5, 8.85, 6.26, 4.43, 3.13, 2.21,
# 1.57, 1.11. The first square (query 1) is number 0 of the schedule, so a threshold of 10 is passed at query 12.
SIDES = [(1, 25), (11, 25), (12, 18), (51, 18), (52, 13), (201, 13), (202, 9), (501, 9), (502, 6), (1001, 6), (1002, 4)]
SIDES += [(2001, 4), (2002, 3), (4001, 3), (4002, 2), (6001, 2), (6002, 2), (8001, 2), (8002, 1), (10000, 1)]


@pytest.mark.parametrize(("query", "side"), SIDES)
def test_sides_of_the_schedule_for_ten_thousand_queries(query: int, side: int) -> None:
    assert side_at(query, 10_000, 28, 28) == side


def test_the_schedule_is_stretched_and_squares_fit_the_image() -> None:
    # at 1,000 queries a threshold of 10 is passed by square number 1.1, the one of 50 by number 5.1
    assert [side_at(query, 1000, 28, 28) for query in (1, 2, 3, 6, 7)] == [25, 25, 18, 18, 13]
    assert side_at(1, 1000, 4, 100) == 4  # sqrt(0.8 * 400) = 17.9
    assert side_at(1, 1000, 100, 4) == 4
    assert side_at(1000, 1000, 8, 8) == 1  # sqrt(0.8 * 64 / 512) = 0.3


def _margin(model: Logits, images: Tensor, goal: Goal) -> Tensor:
    with torch.no_grad():
        return goal.margin(model(images))


def test_stripes_first_then_a_square_at_a_time_of_which_those_that_raise_the_margin_stay(
    network: nn.Sequential, goal: Goal, images: Tensor
) -> None:
    recorder = Recorder(network)
    crafted = _square(recorder, images, goal, replace(CONFIG, until="end"))
    _, best, *squares, _ = recorder.seen  # the first and the last look are `craft`'s own
    lowest, highest = (images - 0.1).clamp(0, 1), (images + 0.1).clamp(0, 1)
    upper = best == highest
    assert torch.equal(upper, upper[:, :, :1].expand_as(upper))  # vertical stripes
    assert 26 < int(upper[:, 0, 0].sum()) < 86  # 112 tosses of a coin: 56, within 6 standard deviations of 5.3
    best_margin = _margin(network, best, goal)
    assert len(squares) == 299
    for query, tried in enumerate(squares, start=1):
        assert bool(((tried == lowest) | (tried == highest)).all())
        for changed in (tried != best)[:, 0]:
            rows, columns = torch.where(changed)
            assert len(rows) > 0  # no query is spent on what was there before
            assert int(rows.max() - rows.min()) < side_at(query, 300, 8, 8)
            assert int(columns.max() - columns.min()) < side_at(query, 300, 8, 8)
        margin = _margin(network, tried, goal)
        best = torch.where((margin > best_margin)[:, None, None, None], tried, best)
        best_margin = torch.maximum(margin, best_margin)
    assert torch.equal(crafted.images, best)


def test_squares_lie_anywhere_and_every_channel_has_its_own_sign() -> None:
    def indifferent(batch: Tensor) -> Tensor:  # no margin ever rises, so every square is put onto the stripes
        return torch.zeros(len(batch), 2)

    recorder = Recorder(indifferent)
    goal = Goal(classes=torch.tensor([0, 1]))
    queries = 600
    _square(recorder, torch.full((2, 2, 5, 9), 0.5), goal, replace(CONFIG, queries=queries, until="end"))
    _, stripes, *squares, _ = recorder.seen
    single = [tried for query, tried in enumerate(squares, start=1) if side_at(query, queries, 5, 9) == 1]
    assert len(single) > 500
    changed = torch.stack(single) != stripes  # (queries, images, channels, h, w)
    pixels = changed.any(dim=2)
    assert bool((pixels.flatten(2).sum(dim=2) == 1).all())
    counts = pixels.sum(dim=0).flatten(1)  # (2, 45), how often each pixel was chosen
    assert int(counts.min()) >= 1  # of more than 500 draws from 45 a pixel is missed once in 75,000 times
    assert int(counts.max()) < 40
    places = pixels.flatten(2).int().argmax(dim=2)  # (queries, images)
    assert float((places[:, 0] == places[:, 1]).float().mean()) < 0.1  # by chance 1 in 45
    assert len(places[:250].unique(dim=0)) > 200
    assert not torch.equal(places[:100], places[250:350])  # the second block of random numbers is another
    both = changed.flatten(3).any(dim=3).all(dim=2).float().mean()
    # of 4 pairs of signs one changes nothing and is turned round, so both channels change in 2 of 4 cases
    assert float(both) == pytest.approx(0.5, abs=0.1)


def test_a_network_whose_gradients_vanish_is_broken_where_pgd_fails(network: nn.Sequential) -> None:
    def quantized(batch: Tensor) -> Tensor:  # to 9 gray levels; rounding has a gradient of 0
        return network((8 * batch).round() / 8)

    images = random_images(100)
    predicted = _predicted(quantized, images)
    clear = _margin(quantized, images, Goal(classes=predicted)) < -0.9
    images, goal = images[clear], Goal(classes=predicted[clear])
    assert len(images) >= 10
    climbed = craft(
        PGD, quantized, images, goal, PgdConfig(epsilon=0.1, step_size=0.02, steps=20), draws_for(len(images))
    )
    assert bool(climbed.vanished.all())
    assert int(climbed.success.sum()) == 0  # its random starts are no better than noise
    crafted = _square(quantized, images, goal, CONFIG)
    assert bool(crafted.success.all())
    assert not bool(crafted.vanished.any())  # no gradient was asked for
    assert float(crafted.linf.max()) <= 0.1 + 1e-6


def test_an_image_leaves_when_it_is_broken_or_spends_every_query(
    network: nn.Sequential, goal: Goal, images: Tensor
) -> None:
    spent = _square(network, images, goal, replace(CONFIG, until="end"))
    assert spent.passes == 14 * 300
    left = _square(network, images, goal, replace(CONFIG, until="success"))
    assert left.passes < spent.passes / 2
    assert torch.equal(left.success, spent.success)
    assert bool((spent.margin >= left.margin - 1e-6).all())
    assert bool((spent.margin > left.margin + 0.1).any())


@pytest.mark.parametrize("until", ["success", "end"])
def test_results_follow_the_image_not_its_place(network: nn.Sequential, goal: Goal, images: Tensor, until: str) -> None:
    ids = torch.arange(100, 108)
    config = SquareConfig(epsilon=0.03, queries=255, until=until)  # two blocks of random numbers

    def run(part: Tensor) -> Tensor:
        draws = Draws(seed=3, sample_ids=ids[part])
        return craft(SQUARE, network, images[part], goal.select(part), config, draws).images

    whole = run(torch.arange(8))
    for size in (1, 7):
        assert torch.equal(torch.cat([run(part) for part in torch.arange(8).split(size)]), whole)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(run(order), whole[order])


def test_a_target_is_reached(network: nn.Sequential, goal: Goal, images: Tensor) -> None:
    target = (goal.classes + 2) % 5
    crafted = _square(network, images, Goal(classes=target, targeted=True), replace(CONFIG, epsilon=0.3))
    assert torch.equal(crafted.success, _predicted(network, crafted.images) == target)
    assert int(crafted.success.sum()) >= 12


def test_the_corner_of_a_linear_model_s_ball_is_found() -> None:
    # The margin of two classes is largest in the corner clip(x + 0.1 sign(w)), and single pixels climb there.
    model = linear_model(2)
    images = random_images(4, low=0.3, high=0.7)
    predicted = _predicted(model, images)
    crafted = _square(model, images, Goal(classes=predicted), SquareConfig(epsilon=0.1, queries=1500, until="end"))
    with torch.no_grad():
        uphill = (model[1].weight[1 - predicted] - model[1].weight[predicted]).sign().view_as(images)
        best = _margin(model, images + 0.1 * uphill, Goal(classes=predicted))
    assert torch.allclose(crafted.margin, best, rtol=1e-3)


@pytest.mark.parametrize("name", ["epsilon", "queries"])
def test_every_budget_is_above_zero(name: str) -> None:
    with pytest.raises(RequestError, match=name):
        SquareConfig(**({"epsilon": 0.1} | {name: 0}))


def test_an_empty_batch_comes_back_empty(network: nn.Sequential) -> None:
    goal = Goal(classes=torch.zeros(0, dtype=torch.int64))
    assert _square(network, random_images(1)[:0], goal, CONFIG).images.shape == (0, 1, 8, 8)


def test_no_less_successful_than_torchattacks() -> None:
    torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is in the extra 'backends'")
    network = digits_network()
    images, labels = recognized(network, 40)
    ours = _square(network, images, Goal(classes=labels), replace(CONFIG, queries=300))
    theirs = torchattacks.Square(network, eps=0.1, n_queries=300)(images, labels)
    success = _predicted(network, theirs) != labels
    assert 8 <= int(success.sum()) <= 30
    # random searches both: theirs finds nothing on more than a few images where ours fails
    assert int(ours.success.sum()) >= int(success.sum())
    assert int((success & ~ours.success).sum()) <= 2
