"""Logits of many images: whatever fits in memory gives the same; expected ones are the network's own, all at once."""

import logging

import pytest
import torch
from class_means import digits, network
from torch import Tensor, nn

from attacks.errors import ModelError
from bench.inference import logits_of_all, require_finite_logits


class Cramped(nn.Module):
    """It has room for so many images at a time."""

    def __init__(self, room: int, error: BaseException) -> None:
        super().__init__()
        self.room, self.error = room, error
        self.network = network()
        self.held: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.room:
            raise self.error
        self.held.append(len(images))
        logits: Tensor = self.network(images)
        return logits


NO_ROOM = torch.OutOfMemoryError("no room")


@pytest.mark.parametrize(
    ("room", "held"),
    [(1000, [200, 200, 120]), (199, [100] * 5 + [20]), (60, [50] * 10 + [20]), (1, [1] * 520)],
)
def test_a_batch_that_does_not_fit_is_halved_for_good(
    caplog: pytest.LogCaptureFixture, room: int, held: list[int]
) -> None:
    images = digits().train.images(slice(520))
    model = Cramped(room, NO_ROOM)
    with caplog.at_level(logging.WARNING, "erbench"):
        logits = logits_of_all(model, images)
    assert model.held == held
    assert torch.allclose(logits, network()(images), atol=1e-4)
    fits = {1000: None, 199: 100, 60: 50, 1: 1}[room]  # 200 halved until it fits
    said = [record.getMessage() for record in caplog.records]
    expected = f"200 images do not fit in memory under prediction; it is done with {fits} at a time"
    assert said == ([expected] if fits else [])
    model.held.clear()
    logits_of_all(model, images)  # what fits is found out once for each model
    assert model.held == held
    assert len(caplog.records) == len(said)


def test_less_than_one_image_and_other_errors_are_raised() -> None:
    images = digits().train.images(slice(3))
    with pytest.raises(ModelError, match="not even one image fits in memory under prediction: no room"):
        logits_of_all(Cramped(0, NO_ROOM), images)
    with pytest.raises(RuntimeError, match="shapes"):
        logits_of_all(Cramped(2, RuntimeError("mat1 and mat2 shapes")), images)


def test_no_images_have_no_logits() -> None:
    assert logits_of_all(network(), digits().train.images(slice(0))).shape == (0, 10)


def test_logits_that_are_not_finite_name_ten_images_at_most() -> None:
    logits = torch.zeros(30, 3)
    require_finite_logits(logits, torch.arange(30))
    logits[4, 1], logits[9, 0] = torch.nan, -torch.inf
    with pytest.raises(ModelError, match="for test images 104, 109; nothing"):
        require_finite_logits(logits, torch.arange(100, 130))
    logits[10:] = torch.inf
    with pytest.raises(ModelError, match="for test images 4, 9, 10, 11, 12, 13, 14, 15, 16, 17 and 12 more"):
        require_finite_logits(logits, torch.arange(30))


class Purifying(nn.Module):
    """It moves every image along a gradient of its own before it looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, images: Tensor) -> Tensor:
        with torch.enable_grad():
            moved = images.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.network(moved).logsumexp(dim=1).sum(), moved)
        logits: Tensor = self.network(images - 0.1 * gradient)
        return logits


def test_a_model_that_follows_gradients_of_its_own_can_be_asked() -> None:
    images = digits().test.images(slice(5))
    logits = logits_of_all(Purifying().eval(), images)
    assert not logits.requires_grad
    assert not torch.allclose(logits, logits_of_all(network(), images))
