"""ER training draws the embedding of the digits toward the prior.

The statistic is the unbiased squared MMD to a sample of the prior, on images that were not trained on; the yardstick
is the same training with the regularizer "none", of which at least two thirds must vanish. Without any effect both
figures would be equal. That the yardstick itself is no chance is shown by a permutation test.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from bench.datasets.contract import Dataset, LoadRequest
from bench.datasets.registry import load_dataset
from bench.metrics.two_sample import squared_mmd
from defenses.networks.registry import build_er_network
from defenses.priors import sample_prior
from defenses.training.embedding_regularized import EmbeddingConfig, train_embedding_regularized

DIM = 4
PLAIN = EmbeddingConfig(
    epochs=10,
    batch_size=50,
    learning_rate=1.5e-3,
    embedding_dim=DIM,
    regularizer="none",
    regularizer_weight=0.5,
    separate_steps=False,
    head_rate=1.0,
)
PRIOR = sample_prior("gaussian", (300, DIM), Generator().manual_seed(0))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", LoadRequest(data_dir=Path("nowhere")))


def _embedding(digits: Dataset, config: EmbeddingConfig) -> Tensor:
    """(300, DIM), of test images after training on 400; the network must classify well too."""
    network = build_er_network("digits", classes=10, embedding_dim=DIM, seed=0)
    train_embedding_regularized(network, digits.train.take(torch.arange(400)), config, 0)
    with torch.no_grad():
        embedding = network.embedding(digits.test.images(slice(300)))
        right = network.head(embedding).argmax(dim=1) == digits.test.labels[:300]
    assert float(right.float().mean()) > 0.85
    return embedding


@pytest.fixture(scope="module")
def unregularized(digits: Dataset) -> Tensor:
    return _embedding(digits, PLAIN)


def test_the_unregularized_embedding_is_not_the_prior(unregularized: Tensor) -> None:
    observed = squared_mmd(unregularized, PRIOR)
    pooled, generator = torch.cat([unregularized, PRIOR]), Generator().manual_seed(0)
    shuffled = [pooled[torch.randperm(600, generator=generator)].split(300) for _ in range(40)]
    assert observed > max(squared_mmd(*halves) for halves in shuffled)  # p < 1 / 40


@pytest.mark.parametrize("separate_steps", [False, True])
def test_the_discriminator_draws_the_embedding_to_the_prior(
    digits: Dataset, unregularized: Tensor, separate_steps: bool
) -> None:
    regularized = _embedding(digits, replace(PLAIN, regularizer="adversarial", separate_steps=separate_steps))
    assert squared_mmd(regularized, PRIOR) < squared_mmd(unregularized, PRIOR) / 3
    assert abs(float(regularized.std(dim=0).mean()) - 1) < abs(float(unregularized.std(dim=0).mean()) - 1) / 2


def test_kl_draws_the_embedding_to_the_prior(digits: Dataset, unregularized: Tensor) -> None:
    regularized = _embedding(digits, replace(PLAIN, regularizer="kl"))
    assert squared_mmd(regularized, PRIOR) < squared_mmd(unregularized, PRIOR) / 3
