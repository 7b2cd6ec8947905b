"""The ER training step: who is updated by what, how often and at which rate.

Expected rates and the order of steps are those of the author's code, as the module's docstring gives them: encoder eta,
discriminator eta / 2, head a fraction of eta; the head never descends the penalty.
"""

import math
from typing import Any

import pytest
import torch
from small_parts import watch_adversary, weights_of
from torch import Tensor

from attacks.errors import RequestError
from attacks.pgd import PgdConfig
from bench.datasets.contract import Split
from defenses.contract import Classifier
from defenses.training import embedding_regularized
from defenses.training.embedding_regularized import EmbeddingConfig, train_embedding_regularized

SETTINGS: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 30,
    "learning_rate": 4e-3,
    "embedding_dim": 3,
    "regularizer_weight": 0.1,
    "head_rate": 1 / 20,
}


class _Adam(torch.optim.Adam):
    """Counts its steps."""

    made: list["_Adam"] = []  # noqa: RUF012

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.steps = 0
        _Adam.made.append(self)

    def step(self, *arguments: Any) -> None:
        self.steps += 1
        super().step(*arguments)


@pytest.fixture
def optimizers(monkeypatch: pytest.MonkeyPatch) -> list[_Adam]:
    monkeypatch.setattr(torch.optim, "Adam", _Adam)
    _Adam.made = []
    return _Adam.made


def _train(network: Classifier, toy: Split, **changes: Any) -> dict[str, float]:
    history = train_embedding_regularized(network, toy, EmbeddingConfig(**SETTINGS | changes), 0)
    assert not any(module.training for module in network.modules())
    return history[-1].losses


def test_learning_rates_follow_eta(network: Classifier, toy: Split, optimizers: list[_Adam]) -> None:
    _train(network, toy)
    rates = {id(one): group["lr"] for adam in optimizers for group in adam.param_groups for one in group["params"]}
    assert {rates.pop(id(parameter)) for parameter in network.encoder.parameters()} == {4e-3}
    assert {rates.pop(id(parameter)) for parameter in network.head.parameters()} == {4e-3 * (1 / 20)}
    assert set(rates.values()) == {2e-3}  # what is left are the discriminator's
    assert len(rates) == 10  # five linear layers


@pytest.mark.parametrize(("separate_steps", "a_batch"), [(True, 2), (False, 1)])
def test_steps_a_batch(
    network: Classifier, toy: Split, optimizers: list[_Adam], separate_steps: bool, a_batch: int
) -> None:
    _train(network, toy, separate_steps=separate_steps)
    steps = {len(adam.param_groups): adam.steps for adam in optimizers}  # the network's has two groups
    assert steps == {2: 4 * a_batch, 1: 4}  # 120 images in batches of 30


@pytest.mark.parametrize("separate_steps", [True, False])
@pytest.mark.parametrize("regularizer", ["adversarial", "kl"])
def test_the_penalty_moves_the_encoder(network: Classifier, toy: Split, regularizer: str, separate_steps: bool) -> None:
    """A single step at weight 0 and at weight 100 differ in the encoder, and in the head not at all."""
    start = weights_of(network)
    ends = []
    for weight in (0.0, 100.0):
        network.load_state_dict(start)
        network.head[0].p = 0.0
        changes = {"regularizer_weight": weight, "separate_steps": separate_steps, "batch_size": 120}
        _train(network, toy, regularizer=regularizer, **changes)
        ends.append(weights_of(network))
    moved = {name for name in start if not torch.equal(ends[0][name], ends[1][name])}
    head_weights = {f"head.{name}" for name, _ in network.head.named_parameters()}
    assert any(name.startswith("encoder") for name in moved)
    assert not moved & head_weights


def test_losses_by_regularizer(network: Classifier, toy: Split, optimizers: list[_Adam]) -> None:
    assert set(_train(network, toy)) == {"cross_entropy", "discriminator", "penalty"}
    assert set(_train(network, toy, regularizer="kl")) == {"cross_entropy", "discriminator", "penalty"}
    optimizers.clear()
    assert set(_train(network, toy, regularizer="none")) == {"cross_entropy"}
    assert [len(adam.param_groups) for adam in optimizers] == [2]  # no discriminator is trained


def test_cosine_schedule_ends_near_zero(network: Classifier, toy: Split, optimizers: list[_Adam]) -> None:
    _train(network, toy, schedule="cosine", epochs=2, regularizer="none")
    assert [group["lr"] for group in optimizers[-1].param_groups] == pytest.approx([0, 0], abs=1e-12)


def test_min_max_training_takes_clean_and_crafted_images(
    network: Classifier, toy: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = watch_adversary(monkeypatch, embedding_regularized)
    seen: list[Tensor] = []
    network.normalization.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0]) if module.training else None
    )
    adversary = PgdConfig(epsilon=0.1, step_size=0.1, steps=1)
    _train(network, toy, adversarial=adversary, separate_steps=False, batch_size=60)
    assert [len(batch) for batch in seen] == [120, 120]  # both halves
    assert all(torch.equal(batch, torch.cat(pair)) for batch, pair in zip(seen, made, strict=True))
    assert all(0 < float((crafted - clean).abs().max()) <= 0.1 + 1e-6 for clean, crafted in made)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"embedding_dim": 0}, "embedding-dim"),
        ({"head_rate": 0.0}, "head-rate"),
        ({"regularizer_weight": -0.1}, "regularizer-weight"),
        ({"regularizer_weight": math.nan}, "regularizer-weight"),
        ({"prior": "gausian"}, "gaussian"),
        ({"regularizer": "kll"}, "kl"),
        ({"regularizer": "kl", "prior": "cauchy"}, "gaussian only"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(RequestError, match=word):
        EmbeddingConfig(**SETTINGS | changes)
