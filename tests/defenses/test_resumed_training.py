"""A training that is stopped and goes on ends with the bits of the same training undisturbed, which is the oracle.

The network has dropout, batch normalization and two convolutions; the schedule is a cosine, which every epoch moves.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from journals import MemoryJournal, StoppedError
from small_parts import SIDE
from torch import Generator, Tensor, nn

from attacks.errors import NotConvergedError
from attacks.pgd import PgdConfig
from bench.datasets.contract import Split
from defenses.contract import Classifier
from defenses.training.classification import train_by_cross_entropy
from defenses.training.contract import EpochSummary, Journal, TrainingConfig
from defenses.training.embedding_regularized import EmbeddingConfig, train_embedding_regularized
from defenses.training.state import OptimizerState

EPOCHS = 4
SHAPE: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 32, "learning_rate": 1e-2, "schedule": "cosine"}
EMBEDDED = SHAPE | {"embedding_dim": 3, "regularizer_weight": 0.1}
ADVERSARY = PgdConfig(epsilon=0.1, step_size=0.05, steps=2)
TRAININGS = {
    "plain": TrainingConfig(**SHAPE),
    "min-max": TrainingConfig(**SHAPE, adversarial=ADVERSARY),
    "adversarial regularizer": EmbeddingConfig(**EMBEDDED),
    "adversarial regularizer in one step": EmbeddingConfig(**EMBEDDED, separate_steps=False),
    "cauchy prior, min-max": EmbeddingConfig(**EMBEDDED, prior="cauchy", adversarial=ADVERSARY),
    "kl": EmbeddingConfig(**EMBEDDED, regularizer="kl"),
    "none": EmbeddingConfig(**EMBEDDED, regularizer="none"),
}


def fresh() -> Classifier:
    """The same random network every time, in the usual layout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(
            normalization=nn.Identity(),
            encoder=nn.Sequential(
                nn.Conv2d(1, 4, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(6 * (SIDE // 4) ** 2, 3),
            ),
            head=nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)),
        )


def train(network: Classifier, data: Split, config: Any, journal: Journal) -> list[EpochSummary]:
    torch.manual_seed(11)  # dropout draws from the global generator
    by = train_embedding_regularized if isinstance(config, EmbeddingConfig) else train_by_cross_entropy
    return by(network, data, config, 3, journal)


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []


@pytest.mark.parametrize("config", TRAININGS.values(), ids=TRAININGS)
def test_it_ends_as_if_it_had_never_been_stopped(config: TrainingConfig, toy: Split) -> None:
    undisturbed, journal = fresh(), MemoryJournal()
    history = train(undisturbed, toy, config, journal)
    for stopped_after in (1, 3):
        stopped = MemoryJournal(stop_after=stopped_after)
        with pytest.raises(StoppedError):
            train(fresh(), toy, config, stopped)
        again = MemoryJournal()
        again.state = stopped.state
        resumed = fresh()
        assert train(resumed, toy, config, again) == history == again.summaries
        assert again.taken == stopped_after
        assert_equal(undisturbed, resumed)
        assert not any(module.training for module in resumed.modules())
        assert int(resumed.head[1].num_batches_tracked) == int(undisturbed.head[1].num_batches_tracked) > 0
        assert same(again.state, journal.state)  # moments, discriminator and generators too


def same(one: Any, other: Any) -> bool:
    """Whether two nested states hold the same, tensors bit for bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, Tensor) else one == other


def test_dropout_goes_on_where_it_was(toy: Split) -> None:
    """With other dropout the training above would end elsewhere: what is kept of it matters."""
    stopped = MemoryJournal(stop_after=1)
    with pytest.raises(StoppedError):
        train(fresh(), toy, TRAININGS["plain"], stopped)
    assert stopped.state is not None
    ends = []
    for draws in (stopped.state["draws"], {"cpu": Generator().manual_seed(5).get_state(), "cuda": None}):
        journal = MemoryJournal()
        journal.state = stopped.state | {"draws": draws}
        network = fresh()
        train(network, toy, TRAININGS["plain"], journal)
        ends.append(network.head[-1].weight)
    assert not torch.equal(*ends)


def test_only_the_missing_epochs_run(toy: Split) -> None:
    journal, network, seen = MemoryJournal(stop_after=3), fresh(), []
    network.register_forward_pre_hook(lambda *_: seen.append(1))
    with pytest.raises(StoppedError):
        train(network, toy, TRAININGS["plain"], journal)
    batches = 4  # 120 images in batches of 32
    assert len(seen) == 3 * batches
    train(network, toy, TRAININGS["plain"], journal)
    assert len(seen) == EPOCHS * batches
    finished = [tensor.clone() for tensor in network.state_dict().values()]
    train(network, toy, TRAININGS["plain"], journal)  # the last epoch is kept too
    assert len(seen) == EPOCHS * batches
    assert all(map(torch.equal, finished, network.state_dict().values()))


def test_moments_are_laid_out_like_their_weights() -> None:
    weight = nn.Parameter(torch.rand(4, 3, 5, 5).to(memory_format=torch.channels_last))
    optimizers = [torch.optim.Adam([weight], fused=True) for _ in range(2)]
    weight.grad = torch.rand_like(weight)
    optimizers[0].step()
    kept = OptimizerState(optimizers[0]).state_dict()
    for name, value in kept["moments"]["0"].items():
        kept["moments"]["0"][name] = value.contiguous()  # as read from a file
    OptimizerState(optimizers[1]).load_state_dict(kept)
    held = optimizers[1].state[weight]
    assert held.keys() == {"step", "exp_avg", "exp_avg_sq"}
    for name, value in held.items():
        assert torch.equal(value, optimizers[0].state[weight][name])
        assert value.data_ptr() != kept["moments"]["0"][name].data_ptr()
    assert held["exp_avg"].stride() == held["exp_avg_sq"].stride() == weight.stride() != (75, 25, 5, 1)


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no optimizer": lambda state: state.pop("optimizer"),
    "no regularizer": lambda state: state.pop("regularizer"),
    "another network": lambda state: state["network"].pop("head.0.weight"),
    "another shape": lambda state: state["network"].update({"head.0.weight": torch.zeros(2)}),
    "another history": lambda state: state["history"][0].pop("accuracy"),
    "more moments than weights": lambda state: state["optimizer"]["moments"].update({"99": {"step": torch.zeros(())}}),
    "half a generator": lambda state: state["order"].update({"state": state["order"]["state"][:100]}),
    "no state": lambda state: state.update({"draws": None}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_state_that_does_not_fit_is_reported_and_training_starts_anew(
    damage: Callable[[dict[str, Any]], Any], toy: Split, caplog: pytest.LogCaptureFixture
) -> None:
    config = EmbeddingConfig(**EMBEDDED | {"epochs": 2})
    undisturbed = fresh()
    history = train(undisturbed, toy, config, MemoryJournal())
    assert not caplog.records
    journal = MemoryJournal(stop_after=1)
    with pytest.raises(StoppedError):
        train(fresh(), toy, config, journal)
    assert journal.state is not None
    damage(journal.state)
    journal.stop_after = 0
    network = fresh()
    assert train(network, toy, config, journal) == history
    assert journal.taken == 0
    assert_equal(undisturbed, network)
    (record,) = caplog.records
    assert "does not fit" in record.getMessage()
    assert "training starts anew" in record.getMessage()


def test_weights_that_have_become_nan_end_a_training_at_once(toy: Split) -> None:
    journal = MemoryJournal()
    with pytest.raises(NotConvergedError, match="cross_entropy ended as nan in epoch 1"):
        train(fresh(), toy, TrainingConfig(epochs=9, batch_size=32, learning_rate=1e38), journal)
    assert journal.summaries == []
