"""The epoch loop that every training here runs in; it goes on after the last epoch that its journal holds.

A training that was killed and goes on ends, on the same machine, with the bits of one that never was: all that an
epoch hands to the next is kept, and what was kept comes back in the layout that it had.
"""

import logging
import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict

from torch import Generator, Tensor
from torch.optim import Optimizer

from attacks.draws import Draws
from attacks.errors import NotConvergedError
from defenses.contract import Classifier, device_of
from defenses.training.adversary import epoch_draws
from defenses.training.contract import (
    EpochSummary,
    ImageSource,
    Journal,
    Meter,
    TrainingConfig,
    held_channels_last,
    make_schedule,
    shuffled_batches,
)
from defenses.training.state import GeneratorState, GlobalDraws, OptimizerState, Stateful, load_states, states_of

Learn = Callable[[Tensor, Tensor, Draws], dict[str, Tensor]]
"""One batch's steps: (images (n, c, h, w), labels (n,), draws of these images) -> scalar losses and `accuracy`."""

log = logging.getLogger("erbench")


def train_epochs(
    network: Classifier,
    data: ImageSource,
    config: TrainingConfig,
    seed: int,
    journal: Journal,
    *,
    learn: Learn,
    optimizer: Optimizer,
    kept: Mapping[str, Stateful] | None = None,
) -> list[EpochSummary]:
    """Train in place, from the journal's last epoch on; leaves the network in eval mode.

    Args:
        network: on the device that `data` gives its images on.
        data: the training images.
        config: epochs, batch size and schedule.
        seed: of batch order and random starts.
        journal: hears of every epoch.
        learn: called with each batch, the network in train mode.
        optimizer: whose learning rates the schedule moves.
        kept: what else `learn` changes from batch to batch, by name.

    Returns:
        One summary an epoch, of the epochs taken from the journal too.

    Raises:
        NotConvergedError: an epoch's mean loss is not finite; the weights then are not either, for good.
    """
    device = device_of(network)
    order = Generator().manual_seed(seed)
    schedule = make_schedule(optimizer, config)
    parts: dict[str, Stateful] = {
        "network": network,
        "optimizer": OptimizerState(optimizer),
        "schedule": schedule,
        "order": GeneratorState(order),
        "draws": GlobalDraws(device),
        **(kept or {}),
    }
    with held_channels_last(network):
        history = _resumed(journal, parts)
        for epoch in range(len(history) + 1, config.epochs + 1):
            network.train()
            meter = Meter()
            for batch in shuffled_batches(len(data), config.batch_size, order):
                indices = batch.to(device)
                values = learn(data.images(indices), data.labels[indices], epoch_draws(seed, epoch, batch))
                meter.add(images=len(batch), **values)
            schedule.step()
            history.append(meter.summary(epoch, config.epochs))
            _require_finite(history[-1])
            journal.epoch_done(history[-1], {"history": [asdict(summary) for summary in history], **states_of(parts)})
    network.eval()
    return history


def _resumed(journal: Journal, parts: Mapping[str, Stateful]) -> list[EpochSummary]:
    """The finished epochs, with the parts as the last of them left them; none, and the parts as they were, without."""
    state = journal.resume()
    if state is None:
        return []
    fresh = deepcopy(states_of(parts))
    try:
        history = [EpochSummary(**summary) for summary in state["history"]]
        load_states(parts, state)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        log.warning("what was kept of this training does not fit it (%s); training starts anew", why)
        load_states(parts, fresh)
        return []
    for summary in history:
        journal.epoch_done(summary, None)
    return history


def _require_finite(summary: EpochSummary) -> None:
    for loss, value in summary.losses.items():
        if not math.isfinite(value):
            raise NotConvergedError(f"training diverged: {loss} ended as {value} in epoch {summary.epoch}")
