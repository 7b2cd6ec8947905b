"""Training by cross-entropy on a toy problem whose two classes a single threshold separates."""

import pytest
import torch
from journals import MemoryJournal
from small_parts import tiny_classifier, toy_images, watch_adversary
from torch import Tensor

from attacks.pgd import PgdConfig
from bench.datasets.contract import Split
from defenses.contract import Classifier
from defenses.training import classification
from defenses.training.classification import train_by_cross_entropy
from defenses.training.contract import TrainingConfig

CONFIG = TrainingConfig(epochs=8, batch_size=16, learning_rate=5e-3)
ADVERSARY = PgdConfig(epsilon=0.1, step_size=0.05, steps=2)


def test_a_separable_problem_is_learned(network: Classifier, toy: Split) -> None:
    journal = MemoryJournal()
    history = train_by_cross_entropy(network, toy, CONFIG, 0, journal)
    assert journal.summaries == history
    assert [summary.epoch for summary in history] == list(range(1, 9))
    assert history[-1].losses["cross_entropy"] < history[0].losses["cross_entropy"] / 2
    assert not any(module.training for module in network.modules())
    fresh = toy_images(200, seed=1)
    with torch.no_grad():
        accuracy = (network(fresh.images()).argmax(dim=1) == fresh.labels).float().mean()
    assert float(accuracy) >= 0.97


def test_the_seed_decides_and_nothing_else_does(toy: Split) -> None:
    def logits(seed: int) -> Tensor:
        network = tiny_classifier()
        network.head[0].p = 0.0  # dropout draws from the global generator
        train_by_cross_entropy(network, toy, TrainingConfig(epochs=1, batch_size=16, learning_rate=1e-2), seed)
        with torch.no_grad():
            return network(toy.images())

    first = logits(0)
    torch.rand(3)
    assert torch.equal(first, logits(0))
    assert not torch.equal(first, logits(1))


def test_min_max_training_learns_from_the_examples(
    network: Classifier, toy: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = watch_adversary(monkeypatch, classification)
    seen: list[Tensor] = []

    def record(module: Classifier, inputs: tuple[Tensor]) -> None:
        if module.training:
            seen.append(inputs[0])

    network.register_forward_pre_hook(record)
    config = TrainingConfig(epochs=2, batch_size=50, learning_rate=1e-3, adversarial=ADVERSARY)
    train_by_cross_entropy(network, toy, config, 0)
    assert len(made) == 2 * 3  # 120 images in batches of 50
    assert all(torch.equal(shown, crafted) for shown, (_, crafted) in zip(seen, made, strict=True))
    for images, crafted in made:
        assert 0.05 < float((crafted - images).abs().max()) <= 0.1 + 1e-6
    assert not network.training


@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_the_first_step_is_as_long_as_the_learning_rate(network: Classifier, toy: Split, rate: float) -> None:
    # Adam divides the first gradient by its own size: every weight that has one moves by the rate
    before = [parameter.detach().clone() for parameter in network.parameters()]
    train_by_cross_entropy(network, toy, TrainingConfig(epochs=1, batch_size=120, learning_rate=rate), 0)
    moved = [(new.detach() - old).abs().max() for new, old in zip(network.parameters(), before, strict=True)]
    assert float(max(moved)) == pytest.approx(rate, rel=1e-3)


def test_plain_training_makes_no_examples(network: Classifier, toy: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "adversarial_batch", lambda *_: pytest.fail("called"))
    train_by_cross_entropy(network, toy, TrainingConfig(epochs=1, batch_size=64, learning_rate=1e-3), 0)
