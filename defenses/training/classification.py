"""Plain and min-max training of a classifier by cross-entropy.

Source: Madry et al. 2018, arXiv:1706.06083 (with `adversarial` set); ordinary training otherwise.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from attacks.draws import Draws
from defenses.contract import Classifier
from defenses.training.adversary import adversarial_batch
from defenses.training.contract import NO_JOURNAL, EpochSummary, ImageSource, Journal, TrainingConfig, accuracy_of
from defenses.training.loop import train_epochs


def train_by_cross_entropy(
    network: Classifier, data: ImageSource, config: TrainingConfig, seed: int, journal: Journal = NO_JOURNAL
) -> list[EpochSummary]:
    """Train in place; leaves the network in eval mode.

    Args:
        network: on the device that `data` gives its images on.
        data: the training images.
        config: epochs, batch size, learning rate and, for min-max training, the attack.
        seed: of batch order and random starts.
        journal: hears of every epoch, and is asked for those that are finished already.

    Returns:
        One summary an epoch, with the loss `cross_entropy`.

    Raises:
        NotConvergedError: the weights have become NaN or infinite.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)

    def learn(images: Tensor, labels: Tensor, draws: Draws) -> dict[str, Tensor]:
        if config.adversarial is not None:
            images = adversarial_batch(network, images, labels, config.adversarial, draws)
        logits = network(images)
        loss = cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {"cross_entropy": loss, "accuracy": accuracy_of(logits, labels)}

    return train_epochs(network, data, config, seed, journal, learn=learn, optimizer=optimizer)
