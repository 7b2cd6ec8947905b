"""Attacks in low precision, judged in float32.

A bfloat16 number keeps 8 significant bits: from 8 to 16 its neighbors lie 1/16 apart. Expected values are worked out by
hand from that.
"""

import pytest
import torch
from small_models import draws_for, probe_for
from torch import Tensor, nn

from attacks.contract import craft
from attacks.errors import ModelError
from attacks.goal import Goal
from attacks.losses import cross_entropy_loss
from attacks.pgd import PGD, PgdConfig
from attacks.precision import running_in
from attacks.probe import Probe

CPU = torch.device("cpu")
CONFIG = PgdConfig(epsilon=0.1, step_size=0.05, steps=3)


class _Watched(nn.Module):
    """A network that notes the kind of its first layer's results."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.network = network
        self.seen: list[torch.dtype] = []
        network[1].register_forward_hook(lambda _layer, _inputs, output: self.seen.append(output.dtype))

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


@pytest.mark.parametrize(("precision", "kind"), [("bfloat16", torch.bfloat16), ("tf32", torch.float32)])
def test_the_attack_runs_in_the_precision_and_is_measured_in_float32(
    network: nn.Sequential, images: Tensor, goal: Goal, precision: str, kind: torch.dtype
) -> None:
    watched = _Watched(network).eval()
    crafted = craft(PGD, watched, images, goal, CONFIG, draws_for(14), precision=precision)
    # clean images, three steps and a last look of the attack, crafted images
    assert watched.seen == [torch.float32, *[kind] * 4, torch.float32]
    assert crafted.images.dtype == crafted.margin.dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(crafted.margin, goal.margin(network(crafted.images)))


def test_low_precision_does_compute_something_else(network: nn.Sequential, images: Tensor, goal: Goal) -> None:
    looks = [
        probe_for(network, goal, precision=precision).gradient(images, torch.arange(14), cross_entropy_loss, step=0)
        for precision in ("float32", "bfloat16")
    ]
    difference = (looks[1].logits - looks[0].logits).abs() / looks[0].logits.abs().amax()
    assert 1e-4 < float(difference.max()) < 0.05  # 8 bits: roundings of 2^-9, in a few places
    for look in looks:
        assert look.logits.dtype == look.margin.dtype == look.loss.dtype == look.gradient.dtype == torch.float32


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_broken_means_broken_in_float32(precision: str) -> None:
    # bfloat16 rounds 8.03 down to 8 and 8.045 up to 8.0625: of the first image it sees logits of 8 and of 8.0425,
    # rounded to 8.0625, where there are 8.03 and 8.025. The second image is broken beyond doubt, the third is not.
    weight = torch.tensor([[8.03, 0.0, 0.0], [8.045, -0.02, 0.5]])
    images = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]).view(3, 3, 1, 1)

    def model(batch: Tensor) -> Tensor:
        return nn.functional.linear(batch.flatten(1), weight)

    exact = torch.tensor([-0.005, 0.495, -0.02])
    rows, goal = torch.arange(3), Goal(classes=torch.zeros(3, dtype=torch.int64))
    probe = probe_for(model, goal, precision=precision)
    margin = probe.margin(images, rows, step=0)
    assert (margin > 1e-3).tolist() == [precision == "bfloat16", True, False]
    assert torch.allclose(goal.margin(model(images)), exact, atol=1e-5)
    assert probe.is_broken(images, rows, margin).tolist() == [False, True, False]
    assert probe.passes == (3 + 2 if precision == "bfloat16" else 3)  # only what looked broken is measured again


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_confidence_is_reached_in_float32_where_it_matters(precision: str) -> None:
    # bfloat16 sees 8.03 as 8, and 8.035 - 0.02 as 8.0625: both on the wrong side of 8.02. 7.5 is too far to doubt.
    weight = torch.tensor([[0.0, 0.0, 0.0, 0.0], [8.03, 8.035, -0.02, 7.5]])
    images = torch.tensor([[1.0, 0, 0, 0], [0.0, 1, 1, 0], [0.0, 0, 0, 1]]).view(3, 4, 1, 1)
    rows, goal = torch.arange(3), Goal(classes=torch.zeros(3, dtype=torch.int64))
    probe = probe_for(lambda batch: nn.functional.linear(batch.flatten(1), weight), goal, precision=precision)
    margin = probe.margin(images, rows, step=0)
    assert probe.has_reached(images, rows, margin, 8.02).tolist() == [True, False, False]
    assert probe.passes == (3 + 2 if precision == "bfloat16" else 3)
    unwanted = probe.has_reached(images, rows, margin, 8.02, wanted=torch.tensor([False, False, True]))
    assert unwanted.tolist() == ([False, True, False] if precision == "bfloat16" else [True, False, False])
    assert probe.passes == (3 + 2 if precision == "bfloat16" else 3)  # nothing more was measured


def test_the_recheck_follows_the_rows() -> None:
    # logits 0 and 4: away from class 0 and not from class 1, whatever margins are claimed
    goal = Goal(classes=torch.tensor([0, 1, 0]))
    probe = probe_for(lambda batch: batch.flatten(1) * torch.tensor([0.0, 4.0]), goal, precision="bfloat16")
    images, rows = torch.ones(2, 1, 1, 1), torch.tensor([2, 1])
    assert probe.is_broken(images, rows, torch.tensor([4.0, 4.0])).tolist() == [True, False]


def _settings() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("caller", [("highest", False), ("medium", True)])
@pytest.mark.parametrize(
    ("precision", "inside"),
    [("float32", ("highest", False)), ("bfloat16", ("highest", False)), ("tf32", ("high", True))],
)
def test_tf32_is_on_inside_alone_and_the_callers_settings_come_back(
    monkeypatch: pytest.MonkeyPatch, caller: tuple[str, bool], precision: str, inside: tuple[str, bool]
) -> None:
    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", caller[1])
    torch.set_float32_matmul_precision(caller[0])
    try:
        with running_in(precision, CPU):
            assert _settings() == inside
            assert torch.is_autocast_enabled("cpu") is (precision == "bfloat16")
        assert _settings() == caller
        with pytest.raises(ZeroDivisionError), running_in(precision, CPU):
            raise ZeroDivisionError
        assert _settings() == caller
        assert not torch.is_autocast_enabled("cpu")
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_settings_come_back_when_the_model_fails(images: Tensor, goal: Goal, precision: str) -> None:
    before = _settings()
    seen: list[tuple[str, bool]] = []

    def broken(batch: Tensor) -> Tensor:
        seen.append(_settings())
        return batch.flatten(1) * torch.nan

    probe = Probe(broken, goal, torch.arange(14), precision=precision)
    with pytest.raises(ModelError):
        probe.gradient(images, torch.arange(14), cross_entropy_loss, step=0)
    with pytest.raises(ModelError):
        probe.logits(images, torch.arange(14), step=0)
    assert seen == [("high", True) if precision == "tf32" else ("highest", False)] * 2
    assert _settings() == before
    assert not torch.is_autocast_enabled("cpu")
