"""Batches, means and schedules of every training loop; NumPy and the cosine's formula are the oracles."""

import math

import numpy as np
import pytest
import torch
from torch import Generator

from defenses.training.contract import Meter, TrainingConfig, accuracy_of, make_schedule, shuffled_batches


@pytest.mark.parametrize(("count", "size", "sizes"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 100, [3]), (1, 4, [1])])
def test_batches_cover_every_image_once(count: int, size: int, sizes: list[int]) -> None:
    batches = list(shuffled_batches(count, size, Generator().manual_seed(0)))
    assert [len(batch) for batch in batches] == sizes
    assert sorted(torch.cat(batches).tolist()) == list(range(count))


def test_a_last_batch_of_one_image_is_left_out() -> None:
    # BatchNorm cannot train on a single image; another epoch leaves out another one
    generator = Generator().manual_seed(0)
    left_out = set()
    for _ in range(20):
        batches = list(shuffled_batches(9, 4, generator))
        assert [len(batch) for batch in batches] == [4, 4]
        left_out |= set(range(9)) - set(torch.cat(batches).tolist())
    assert len(left_out) > 3


def test_every_epoch_has_its_own_order_and_the_seed_repeats_it() -> None:
    def epochs() -> list[list[int]]:
        generator = Generator().manual_seed(7)
        return [torch.cat(list(shuffled_batches(50, 10, generator))).tolist() for _ in range(2)]

    first, second = epochs()
    assert first != second
    assert epochs() == [first, second]


def test_means_weigh_batches_by_their_images() -> None:
    sizes, losses, accuracies = [100, 100, 7], [0.5, 0.25, 4.0], [0.9, 0.8, 0.0]
    meter = Meter()
    for size, loss, accuracy in zip(sizes, losses, accuracies, strict=True):
        meter.add(images=size, loss=torch.tensor(loss, requires_grad=True), accuracy=torch.tensor(accuracy))
    summary = meter.summary(3, 5)
    assert summary.losses == {"loss": pytest.approx(np.average(losses, weights=sizes))}
    assert summary.accuracy == pytest.approx(np.average(accuracies, weights=sizes))
    assert (summary.epoch, summary.epochs) == (3, 5)


def test_accuracy_is_the_share_of_largest_logits_at_the_label() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 1.0]])
    assert float(accuracy_of(logits, torch.tensor([0, 1, 1, 1]))) == 0.75


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_schedule(name: str) -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [parameter], "lr": 0.4}], lr=1.0)
    config = TrainingConfig(epochs=4, batch_size=1, learning_rate=0.4, schedule=name)
    schedule = make_schedule(optimizer, config)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    cosine = [0.4 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert rates == pytest.approx([0.4] * 4 if name == "constant" else cosine)
