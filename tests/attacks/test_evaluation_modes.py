"""When work on an image ends, and that no image's outcome depends on the company it is in.

Expected numbers of passes are read off a run that takes every step: an image needs the looks up to the first whose
margin, recomputed here from the recorded images, is above 1e-3.
"""

from dataclasses import replace

import pytest
import torch
from small_attacks import options_of, small_config
from small_models import Recorder, draws_for, probe_for, random_images, small_network
from small_watched import watched_by_brightness
from torch import Tensor, nn

from attacks.contract import UNTIL, AttackEntry, CraftedBatch, craft
from attacks.draws import Draws
from attacks.goal import Goal
from attacks.pgd import PgdConfig, pgd
from attacks.registry import ATTACKS

COUNT = 130  # a batch of 128 and a rest
EPSILON = 0.04  # breaks some of the images and not others
PGD_CONFIG = PgdConfig(epsilon=EPSILON, step_size=0.01, steps=5, restarts=2)

Case = tuple[nn.Module, Tensor, Goal]


@pytest.fixture(scope="module")
def case() -> Case:
    """A network, images, and the goal to get away from the predicted classes."""
    network, images = small_network(), random_images(COUNT, seed=2)
    with torch.no_grad():
        return network, images, Goal(classes=network(images).argmax(dim=1))


def _margin(network: nn.Module, images: Tensor, goal: Goal) -> Tensor:
    """Largest other logit minus the true class's, (n,)."""
    with torch.no_grad():
        logits = network(images)
    true = logits[torch.arange(len(images)), goal.classes]
    return logits.scatter(1, goal.classes[:, None], -torch.inf).amax(dim=1) - true


def test_until_success_pgd_looks_at_an_image_only_until_it_is_broken(case: Case) -> None:
    network, images, goal = case
    full, brief = Recorder(network), Recorder(network)
    full_images = pgd(probe_for(full, goal), images, PGD_CONFIG, draws_for(COUNT))
    config = replace(PGD_CONFIG, until="success")
    brief_images = pgd(probe_for(brief, goal), images, config, draws_for(COUNT))

    margins = torch.stack([_margin(network, batch, goal) for batch in full.seen])  # (looks, n)
    assert len(margins) == 2 * (5 + 1)
    unbroken = (margins <= 1e-3).cumprod(dim=0).bool()  # (looks, n)
    needed = [COUNT, *unbroken[:-1].sum(dim=1).tolist()]
    assert [len(batch) for batch in brief.seen] == needed
    assert sum(needed) < 0.7 * len(margins) * COUNT  # or this test says little

    broken = (margins > 0).any(dim=0)
    assert 20 < int(broken.sum()) < COUNT - 20
    assert torch.equal(_margin(network, full_images, goal) > 0, broken)
    assert torch.equal(_margin(network, brief_images, goal) > 0, broken)
    assert torch.allclose(brief_images[~broken], full_images[~broken], atol=1e-5)  # these saw every step


def test_when_all_are_broken_nothing_is_looked_at_any_more(case: Case) -> None:
    network, images, _ = case
    recorder = Recorder(network)
    with torch.no_grad():
        goal = Goal(classes=network(images).argmin(dim=1))  # met before anything is done
    config = PgdConfig(epsilon=1e-6, step_size=1e-6, steps=5, restarts=3, until="success")
    pgd(probe_for(recorder, goal), images, config, draws_for(COUNT))
    assert [len(batch) for batch in recorder.seen] == [COUNT]


class _InFloat64(nn.Module):
    """A network in float64: float32 sums differ between batch shapes, and a slope of 1e-9 may so change its sign."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.double())


def _run(entry: AttackEntry, case: Case, part: Tensor, **changes: object) -> CraftedBatch:
    network, images, goal = case
    config = small_config(entry, **{"epsilon": EPSILON, "step_size": 0.02} | changes)
    draws = Draws(seed=5, sample_ids=1000 + part)
    watched = watched_by_brightness(network, images, random_images(20, seed=6)) if entry.is_aware else None
    return craft(entry, network, images[part], goal.select(part), config, draws, watched=watched)


@pytest.mark.parametrize(
    "entry", [entry for entry in ATTACKS if "until" in options_of(entry)], ids=lambda entry: entry.name
)
def test_until_success_breaks_the_same_images_in_fewer_passes(case: Case, entry: AttackEntry) -> None:
    everything = torch.arange(COUNT)
    full, brief = (_run(entry, case, everything, until=until) for until in ("end", "success"))
    assert torch.equal(brief.success, full.success)
    assert 0 < int(full.success.sum()) < COUNT
    assert brief.passes < full.passes


@pytest.mark.parametrize(
    ("entry", "until"),
    [(entry, until) for entry in ATTACKS for until in (UNTIL if "until" in options_of(entry) else ("-",))],
    ids=lambda value: getattr(value, "name", value),
)
def test_outcomes_do_not_depend_on_the_batch(case: Case, entry: AttackEntry, until: str) -> None:
    _, images, goal = case
    exact = _InFloat64(small_network()).eval(), images, goal
    runs = {}
    for size in (1, 7, 128):
        parts = [_run(entry, exact, part, until=until, steps=2) for part in torch.arange(COUNT).split(size)]
        runs[size] = torch.cat([part.success for part in parts]), torch.cat([part.images for part in parts])
    success, crafted = runs[128]
    for size in (1, 7):
        assert torch.equal(runs[size][0], success)
        assert torch.allclose(runs[size][1], crafted, atol=1e-5)
