"""Plain and min-max training of a classifier by cross-entropy.

Source: Madry et al. 2018, arXiv:1706.06083 (with `adversarial` set); ordinary training otherwise.
"""

import torch
from torch import Generator
from torch.nn.functional import cross_entropy

from defenses.contract import Classifier, device_of
from defenses.training.adversary import adversarial_batch, epoch_draws
from defenses.training.contract import (
    EpochSummary,
    ImageSource,
    Meter,
    Report,
    TrainingConfig,
    accuracy_of,
    held_channels_last,
    make_schedule,
    shuffled_batches,
)


def train_by_cross_entropy(
    network: Classifier, data: ImageSource, config: TrainingConfig, seed: int, report: Report
) -> list[EpochSummary]:
    """Train in place; leaves the network in eval mode.

    Args:
        network: on the device that `data` gives its images on.
        data: the training images.
        config: epochs, batch size, learning rate and, for min-max training, the attack.
        seed: of batch order and random starts.
        report: called after every epoch.

    Returns:
        One summary an epoch, with the loss `cross_entropy`.
    """
    generator = Generator().manual_seed(seed)
    device = device_of(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    schedule = make_schedule(optimizer, config)
    history = []
    with held_channels_last(network):
        for epoch in range(1, config.epochs + 1):
            network.train()
            meter = Meter()
            for batch in shuffled_batches(len(data), config.batch_size, generator):
                indices = batch.to(device)
                images, labels = data.images(indices), data.labels[indices]
                if config.adversarial is not None:
                    draws = epoch_draws(seed, epoch, batch)
                    images = adversarial_batch(network, images, labels, config.adversarial, draws)
                logits = network(images)
                loss = cross_entropy(logits, labels)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                meter.add(images=len(images), cross_entropy=loss, accuracy=accuracy_of(logits, labels))
            schedule.step()
            history.append(meter.summary(epoch, config.epochs))
            report(history[-1])
    network.eval()
    return history
