"""What draws the embedding toward the prior: a critic with clipped weights, a KL divergence, or nothing.

Sources: [A] the author's training code (loss, clipping to 0.01, half the encoder's learning rate); supplement D.2
for KL in place of the discriminator, whose form it leaves open: ours is the closed form between Gaussians, with the
batch's mean and variance per axis.
"""

from typing import Protocol

import torch
from torch import Generator, Tensor

from attacks.errors import RequestError
from attacks.registration import unknown_name
from defenses.networks.discriminator import Discriminator
from defenses.priors import sample_prior
from defenses.training.state import GeneratorState, OptimizerState, State, Stateful, load_states, states_of

REGULARIZERS = ("adversarial", "kl", "none")
CLIP = 0.01  # every discriminator weight is kept in [-CLIP, CLIP] [A]
SMALLEST_VARIANCE = 1e-8


class Regularizer(Stateful, Protocol):
    """Learns from embeddings and tells how far they are from the prior; what it has learned can be kept."""

    def learn(self, embedding: Tensor) -> Tensor:
        """Take one step on (n, d) embeddings, which get no gradient; return its loss, a scalar."""

    def penalty(self, embedding: Tensor) -> Tensor:
        """A scalar to be descended by the encoder that made the (n, d) embedding."""


class AdversarialRegularizer:
    """The paper's discriminator: descends mean D(prior) - mean D(embedding), then its weights are clipped.

    Args:
        discriminator: (n, d) -> (n,), on the encoder's device.
        prior: name of the prior.
        learning_rate: Adam's, half the encoder's in the paper.
        generator: source of the prior's samples, on the encoder's device.
    """

    def __init__(self, discriminator: Discriminator, prior: str, learning_rate: float, generator: Generator) -> None:
        self._discriminator = discriminator
        self._prior = prior
        self._generator = generator
        self._optimizer = torch.optim.Adam(discriminator.parameters(), lr=learning_rate, fused=True)
        self._parts: dict[str, Stateful] = {
            "discriminator": discriminator,
            "optimizer": OptimizerState(self._optimizer),
            "prior": GeneratorState(generator),
        }

    def learn(self, embedding: Tensor) -> Tensor:
        """One discriminator step on (n, d) embeddings."""
        self._discriminator.requires_grad_(True)
        count, dim = embedding.shape
        prior = sample_prior(self._prior, (count, dim), self._generator)
        scores: Tensor = self._discriminator(torch.cat([prior, embedding.detach()]))  # (2n,)
        loss: Tensor = scores[:count].mean() - scores[count:].mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            for parameter in self._discriminator.parameters():
                parameter.clamp_(-CLIP, CLIP)
        return loss.detach()

    def penalty(self, embedding: Tensor) -> Tensor:
        """Mean D(embedding): high where the discriminator tells the embedding from the prior."""
        self._discriminator.requires_grad_(False)  # this gradient is the encoder's alone
        scores: Tensor = self._discriminator(embedding)  # (n,)
        return scores.mean()

    def state_dict(self) -> State:
        """The discriminator, its optimizer, and where the prior's generator stands."""
        return states_of(self._parts)

    def load_state_dict(self, state_dict: State) -> None:
        """Go on from a state that was kept."""
        load_states(self._parts, state_dict)


class KlRegularizer:
    """Sum over axes of KL(N(mean, variance) || N(0, 1)), with the batch's mean and variance."""

    def learn(self, embedding: Tensor) -> Tensor:
        """There is nothing to learn."""
        return embedding.new_zeros(())

    def penalty(self, embedding: Tensor) -> Tensor:
        """(n, d) -> scalar in nats, zero where every axis has mean 0 and variance 1."""
        variance = embedding.var(dim=0, unbiased=False).clamp(min=SMALLEST_VARIANCE)
        return 0.5 * (embedding.mean(dim=0).square() + variance - 1 - variance.log()).sum()

    def state_dict(self) -> State:
        """There is nothing to keep."""
        return {}

    def load_state_dict(self, state_dict: State) -> None:
        """There is nothing to go on from."""


def make_regularizer(
    name: str, *, discriminator: Discriminator, prior: str, learning_rate: float, generator: Generator
) -> Regularizer | None:
    """Build the regularizer called `name`; None for "none".

    Raises:
        RequestError: the name is unknown, or "kl" is asked for with another prior than the Gaussian.
    """
    match name:
        case "adversarial":
            return AdversarialRegularizer(discriminator, prior, learning_rate, generator)
        case "kl":
            check_kl_prior(prior)
            return KlRegularizer()
        case "none":
            return None
        case _:
            raise RequestError(unknown_name("regularizer", name, list(REGULARIZERS)))


def check_kl_prior(prior: str) -> None:
    """Raise `RequestError` for a prior that the closed form does not hold for."""
    if prior != "gaussian":
        raise RequestError(f"--regularizer kl has a closed form for --prior gaussian only, not for '{prior}'")
