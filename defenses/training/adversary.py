"""The inner maximization of min-max training: PGD examples of the batch in hand.

Source: Madry et al. 2018, arXiv:1706.06083; parameters from supplement Table 1.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from attacks.draws import Draws
from attacks.errors import ModelError, NotConvergedError
from attacks.goal import Goal
from attacks.pgd import PgdConfig, last_iterate
from attacks.probe import Probe


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Put a network in eval mode and restore every module's own mode afterwards, also after an error."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def adversarial_batch(network: nn.Module, images: Tensor, labels: Tensor, config: PgdConfig, draws: Draws) -> Tensor:
    """PGD examples of a training batch, crafted against the network in eval mode.

    Args:
        network: (n, c, h, w) -> (n, classes) logits; its modes are restored.
        images: (n, c, h, w) float32 in [0, 1].
        labels: (n,) int64, true classes.
        config: ball, step and steps.
        draws: random starts of these images in this epoch.

    Returns:
        (n, c, h, w) float32 in [0, 1]. Only input gradients are computed.
    """
    with eval_mode(network):
        probe = Probe(network, Goal(classes=labels), draws.sample_ids)
        try:
            return last_iterate(probe, images, config, draws)
        except ModelError as error:  # weights that have become NaN, which no later epoch mends
            raise NotConvergedError(f"training diverged: {error}") from error


def epoch_draws(seed: int, epoch: int, batch: Tensor) -> Draws:
    """The draws of the training images at `batch` ((n,) int64) in one epoch."""
    return Draws(seed=seed * 1_000_003 + epoch, sample_ids=batch)
