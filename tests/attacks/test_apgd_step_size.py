"""Auto-PGD's step sizes by hand, and its iterates against a plain NumPy version of the paper's algorithm.

Source: Croce & Hein 2020, arXiv:2003.01690, section 3.
"""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_models import Recorder, draws_for
from torch import Tensor

from attacks.apgd import APGD_CE, ApgdConfig
from attacks.apgd_step_size import StepSize, checkpoints
from attacks.contract import craft
from attacks.goal import Goal


def test_checkpoints_of_a_hundred_steps_are_the_papers() -> None:
    # windows shrink by 3 steps from 22 down to 6: 22, +19, +16, +13, +10, +7, +6, +6; the next, 105, is past the end
    assert checkpoints(100) == (0, 22, 41, 57, 70, 80, 87, 93, 99)
    # ceil of 10 x 0, 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99
    assert checkpoints(10) == (0, 3, 5, 6, 7, 8, 9, 10)


def test_a_step_size_is_halved_by_either_condition() -> None:
    # four images over the windows of steps 0 to 4 and 4 to 8; condition 1 asks for 3 rises in 4 steps
    losses = [
        [0, 1, 2, 3, 2, 3, 4, 5, 4],  # 3 rises: kept; 3 rises and a best of 5 after 3: kept
        [0, 1, 2, 1, 2, 3, 4, 5, 6],  # 3 rises: kept; 4 rises: kept
        [0, 1, 0, 1, 0, 1, 0, 1, 0],  # 2 rises: halved; 2 rises: halved
        [5, 6, 7, 9, 0, 1, 2, 3, 3],  # 3 rises: kept; 3 rises, but 9 is not reached again: halved by condition 2
    ]
    sizes, values, improved = StepSize.of(torch.full((4,), 0.8)), [], []
    for step, loss in enumerate(torch.tensor(losses, dtype=torch.float32).T):
        improved.append(sizes.see(loss))
        if step in (0, 4, 8):
            sizes.check(step)
            values.append(sizes.value)
    expected = torch.tensor([[0.8, 0.8, 0.8], [0.8, 0.8, 0.8], [0.8, 0.4, 0.2], [0.8, 0.8, 0.4]])
    assert torch.allclose(torch.stack(values, dim=1), expected)
    assert improved[4].tolist() == [False] * 4  # 2 is not above 3, 2, 1 and 9
    assert improved[8].tolist() == [False, True, False, False]


def test_a_size_just_halved_is_not_halved_again_for_lack_of_gain() -> None:
    # window 1 falls all the way: halved; window 2 rises thrice but stays below the start: condition 2 has to wait
    sizes = StepSize.of(torch.full((1,), 0.8))
    values = []
    for step, loss in enumerate([9.0, 4, 3, 2, 1, 2, 3, 4, 4, 5, 6, 7, 7]):
        sizes.see(torch.tensor([loss]))
        if step % 4 == 0:
            sizes.check(step)
            values.append(sizes.value.item())
    assert values == pytest.approx([0.8, 0.4, 0.4, 0.2])


def _peak(pixels: NDArray[np.float64], top: NDArray[np.float64], slope: NDArray[np.float64]) -> float:
    return float(1 - (slope * np.abs(pixels - top)).sum())


def _reference(
    start: NDArray[np.float64], top: NDArray[np.float64], slope: NDArray[np.float64], epsilon: float, steps: int
) -> tuple[list[NDArray[np.float64]], int]:
    """One image of the paper's algorithm 1 in float64, climbing `_peak` within epsilon of 0.5; iterates, halvings."""

    def clip(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(pixels, 0.5 - epsilon, 0.5 + epsilon)

    windows = [(0, 0.22)]
    while windows[-1][1] < 1:
        before, now = windows[-1]
        windows.append((now, round(now + max(now - before - 0.03, 0.06), 2)))
    marks = [0] + [math.ceil(round(end * steps, 6)) for _, end in windows]

    x, losses, size = [start], [_peak(start, top, slope)], 2 * epsilon
    seen, halvings, size_at, best_at = [start], 0, {0: size}, {0: losses[0]}
    for k in range(steps):
        if k in marks[1:]:
            last, best = marks[marks.index(k) - 1], int(np.argmax(losses))
            rises = sum(losses[i + 1] > losses[i] for i in range(last, k))
            size_at[k], best_at[k] = size, losses[best]
            if rises < 0.75 * (k - last) or (size_at[last] == size and best_at[last] == best_at[k]):
                size, halvings = size / 2, halvings + 1
                x[k] = seen[best]
        z = clip(x[k] + size * np.sign(top - x[k]))
        x.append(z if k == 0 else clip(x[k] + 0.75 * (z - x[k]) + 0.25 * (x[k] - x[k - 1])))
        seen.append(x[-1])
        losses.append(_peak(x[-1], top, slope))
    return seen, halvings


def test_iterates_are_those_of_the_papers_algorithm() -> None:
    # twelve images of four pixels, each with a tent of its own to climb, whose top lies inside the ball of 0.3 about
    # 0.5 or beyond its wall; the model's second logit is the height
    count, steps, epsilon = 12, 60, 0.3
    generator = np.random.default_rng(5)
    top, slope = generator.uniform(0.1, 0.9, (count, 4)), generator.uniform(0.3, 1.5, (count, 4))
    top[0] = 0.9  # beyond the wall everywhere: climbing never overshoots

    def model(images: Tensor) -> Tensor:
        distance = (images.flatten(1) - torch.from_numpy(top).float()).abs()
        height = 1 - (torch.from_numpy(slope).float() * distance).sum(dim=1)
        return torch.stack([torch.zeros_like(height), height], dim=1)

    recorder = Recorder(model)
    images, goal = torch.full((count, 1, 2, 2), 0.5), Goal(classes=torch.zeros(count, dtype=torch.int64))
    crafted = craft(APGD_CE, recorder, images, goal, ApgdConfig(epsilon=epsilon, steps=steps), draws_for(count))
    seen = torch.stack(recorder.seen[1:-1]).flatten(2).numpy()  # craft looks once before and once after
    assert len(seen) == steps + 1
    halvings = []
    for image in range(count):
        iterates, halved = _reference(seen[0, image].astype(np.float64), top[image], slope[image], epsilon, steps)
        np.testing.assert_allclose(seen[:, image], np.stack(iterates), atol=2e-5)
        heights = [_peak(pixels, top[image], slope[image]) for pixels in iterates]
        assert crafted.margin[image].item() == pytest.approx(max(heights), abs=1e-4)
        halvings.append(halved)
    assert len(set(halvings)) > 2  # images went their own ways
