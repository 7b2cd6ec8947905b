"""Square attack in L-infinity: random search with squares, without gradients.

Source: Andriushchenko et al. 2020, arXiv:1912.00049, algorithms 1 and 2, and the authors' code, whose squares
shrink once more (after 500 queries) than the paper's. Two departures from that code: squares may touch the last row and
column, as algorithm 2 says, and where a square would change nothing, its signs are turned round instead of drawn anew.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from attacks.ball import ball
from attacks.checks import require_choice, require_epsilon, require_positive
from attacks.contract import UNTIL, AttackEntry
from attacks.draws import Draws
from attacks.probe import Probe

FIRST_SHARE = 0.8  # of the image's pixels, in the first squares (AutoAttack, arXiv:2003.01690, section 5)
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries; the share is halved after each
BLOCK = 250  # queries whose random numbers are drawn at once


@dataclass(frozen=True, slots=True, kw_only=True)
class SquareConfig:
    """Options of the attack.

    epsilon: L-infinity budget in pixel units.
    queries: looks at the model for each image.
    until: "success" ends the work on an image as soon as it is broken; "end" spends every query.
    """

    epsilon: float
    queries: int = 5000
    until: str = "end"

    def __post_init__(self) -> None:
        require_epsilon(self.epsilon)
        require_positive("queries", self.queries)
        require_choice("until", self.until, UNTIL)


def square(probe: Probe, images: Tensor, config: SquareConfig, draws: Draws) -> Tensor:
    """Start from vertical stripes; set squares at random to the ball's wall and keep those that raise the margin.

    Args:
        probe: the model, and the goal of each image; no gradient is asked for.
        images: (n, c, h, w) float32 in [0, 1].
        config: budget and number of queries.
        draws: stripes, places and signs, from (seed, image index) alone.

    Returns:
        (n, c, h, w) float32 in [0, 1], within `epsilon` of `images`. Success is judged elsewhere.
    """
    lowest, highest = ball(images, config.epsilon)
    stripes = draws.uniform("square", (images.shape[1], 1, images.shape[3])).to(images.device)
    raised = (stripes < 0.5).expand_as(images).clone()  # (n, c, h, w) pixels at the upper wall; the rest at the lower
    margin = images.new_full((len(images),), -torch.inf)  # (n,) of `raised`
    rows = torch.arange(len(images), device=images.device)  # (m,) images still worked on
    low, high, tried, numbers = lowest, highest, raised, stripes  # (m, ...) of these images

    for query in range(config.queries):
        if len(rows) == 0:
            break
        if query > 0:
            block, place = divmod(query - 1, BLOCK)
            if place == 0:
                shape = (BLOCK, 2 + images.shape[1])
                numbers = draws.select(rows).uniform("square", shape, round_=1 + block).to(images.device)
            tried = _with_square(raised[rows], side_at(query, config.queries, *images.shape[2:]), numbers[:, place])
        crafted = torch.where(tried, high, low)
        seen = probe.margin(crafted, rows, step=query)
        better = seen > margin[rows]
        kept = rows[better]
        raised[kept], margin[kept] = tried[better], seen[better]
        if config.until == "success" and bool(better.any()):
            working = torch.ones_like(better)
            working[better] = ~probe.is_broken(crafted[better], kept, seen[better])
            rows, low, high, numbers = (part[working] for part in (rows, low, high, numbers))
    return torch.where(raised, highest, lowest)


def side_at(query: int, queries: int, height: int, width: int) -> int:
    """Side in pixels of the square that is tried at a query, 1 for the first after the stripes.

    The schedule for 10,000 queries is stretched to `queries`, as the paper asks.
    """
    spent = (query - 1) * 10_000 // queries
    share = FIRST_SHARE / 2 ** sum(spent > limit for limit in HALVINGS)
    return max(1, min(round(sqrt(share * height * width)), height, width))


def _with_square(raised: Tensor, side: int, numbers: Tensor) -> Tensor:
    """Put one square into each image, each channel of it at one wall of the ball.

    Args:
        raised: (m, c, h, w) bool.
        side: of the square, in pixels.
        numbers: (m, 2 + c) float32 uniform in [0, 1): the place of the upper left corner, and the channels' signs.

    Returns:
        (m, c, h, w) bool, different from `raised` for every image.
    """
    height, width = raised.shape[2:]
    down, across = (torch.arange(length, device=raised.device) for length in (height, width))
    top = (numbers[:, 0] * (height - side + 1)).long()[:, None]  # (m, 1)
    left = (numbers[:, 1] * (width - side + 1)).long()[:, None]
    inside_rows = (down >= top) & (down < top + side)  # (m, h)
    inside_columns = (across >= left) & (across < left + side)  # (m, w)
    inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]  # (m, 1, h, w)
    upwards = (numbers[:, 2:] < 0.5)[:, :, None, None]  # (m, c, 1, 1)
    changes = (inside & (raised != upwards)).flatten(1).any(dim=1)  # (m,)
    upwards = upwards ^ ~changes[:, None, None, None]
    return torch.where(inside, upwards, raised)


SQUARE = AttackEntry(
    name="square",
    summary="random search with squares inside the L-infinity ball, without gradients",
    source="Andriushchenko et al. 2020, arXiv:1912.00049",
    config=SquareConfig,
    attack=square,
    follows_gradients=False,
)
