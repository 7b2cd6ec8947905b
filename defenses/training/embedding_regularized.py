"""Training of the ER-Classifier: cross-entropy with the embedding drawn toward a prior.

Sources: [S] supplement A and D.2; [A] the author's training code, whose step is: (1) the discriminator descends
mean D(prior) - mean D(embedding) and is clipped; (2) encoder and classifier descend cross-entropy; (3) the encoder
descends lambda * mean D(embedding). Learning rates: encoder eta, discriminator eta / 2, classifier eta / 20.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from attacks.checks import require_not_negative, require_positive
from attacks.draws import Draws
from attacks.errors import RequestError
from attacks.registration import unknown_name
from defenses.contract import Classifier, device_of
from defenses.networks.registry import build_discriminator
from defenses.priors import PRIORS
from defenses.training.adversary import adversarial_batch
from defenses.training.contract import NO_JOURNAL, EpochSummary, ImageSource, Journal, TrainingConfig, accuracy_of
from defenses.training.loop import train_epochs
from defenses.training.regularizers import REGULARIZERS, Regularizer, check_kl_prior, make_regularizer


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingConfig(TrainingConfig):
    """How an ER network is trained, beyond `TrainingConfig`.

    embedding_dim: axes of the embedding.
    regularizer: "adversarial" (the paper's), "kl" or "none" (E-CLA).
    regularizer_weight: lambda_1.
    prior: what the embedding is drawn toward.
    separate_steps: take steps (2) and (3) one after the other, as the author does, at the cost of a second pass
        through the encoder; otherwise one step on the sum of both losses.
    head_rate: the head's learning rate over the encoder's; 1/20 in the author's code.
    encoder_init: "scratch" or "imagenet".
    """

    embedding_dim: int
    regularizer: str = "adversarial"
    regularizer_weight: float
    prior: str = "gaussian"
    separate_steps: bool = True
    head_rate: float = 1 / 20
    encoder_init: str = "scratch"

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)
        require_positive("embedding_dim", self.embedding_dim)
        require_positive("head_rate", self.head_rate)
        require_not_negative("regularizer_weight", self.regularizer_weight)
        if self.prior not in PRIORS:
            raise RequestError(unknown_name("prior", self.prior, list(PRIORS)))
        if self.regularizer not in REGULARIZERS:
            raise RequestError(unknown_name("regularizer", self.regularizer, list(REGULARIZERS)))
        if self.regularizer == "kl":
            check_kl_prior(self.prior)


def train_embedding_regularized(
    network: Classifier, data: ImageSource, config: EmbeddingConfig, seed: int, journal: Journal = NO_JOURNAL
) -> list[EpochSummary]:
    """Train in place; leaves the network in eval mode.

    Args:
        network: an ER network on the device that `data` gives its images on.
        data: the training images.
        config: everything that shapes the training.
        seed: of batch order, random starts, prior samples and the discriminator's first weights.
        journal: hears of every epoch, and is asked for those that are finished already.

    Returns:
        One summary an epoch, with the losses `cross_entropy` and, unless the regularizer is "none", `penalty`
        (mean D(embedding), or the KL divergence in nats) and `discriminator`.

    Raises:
        NotConvergedError: the weights have become NaN or infinite.
    """
    device = device_of(network)
    regularizer = make_regularizer(
        config.regularizer,
        discriminator=build_discriminator(config.embedding_dim, seed=seed).to(device),
        prior=config.prior,
        learning_rate=config.learning_rate / 2,
        generator=Generator(device).manual_seed(seed),
    )
    optimizer = torch.optim.Adam(
        [
            {"params": network.encoder.parameters(), "lr": config.learning_rate},
            {"params": network.head.parameters(), "lr": config.learning_rate * config.head_rate},
        ],
        fused=True,
    )

    def learn(images: Tensor, labels: Tensor, draws: Draws) -> dict[str, Tensor]:
        if config.adversarial is not None:  # both halves go through all three steps
            crafted = adversarial_batch(network, images, labels, config.adversarial, draws)
            images, labels = torch.cat([images, crafted]), labels.repeat(2)
        return _step(network, regularizer, optimizer, images, labels, config)

    kept = {} if regularizer is None else {"regularizer": regularizer}
    return train_epochs(network, data, config, seed, journal, learn=learn, optimizer=optimizer, kept=kept)


def _step(
    network: Classifier,
    regularizer: Regularizer | None,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    config: EmbeddingConfig,
) -> dict[str, Tensor]:
    """One training step on a batch; returns its losses and accuracy, scalars."""
    embedding = network.embedding(images)  # (n, embedding_dim)
    logits = network.head(embedding)
    loss = cross_entropy(logits, labels)
    values = {"cross_entropy": loss, "accuracy": accuracy_of(logits, labels)}
    if regularizer is None:
        _descend(optimizer, loss)
        return values

    values["discriminator"] = regularizer.learn(embedding.detach())  # step (1)
    if config.separate_steps:
        _descend(optimizer, loss)  # step (2)
        penalty = regularizer.penalty(network.embedding(images))
        _descend(optimizer, config.regularizer_weight * penalty)  # step (3)
    else:
        penalty = regularizer.penalty(embedding)
        _descend(optimizer, loss + config.regularizer_weight * penalty)  # steps (2) and (3) in one
    return values | {"penalty": penalty}


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
