"""Whether training ended in a model worth measuring.

Source: ours [D]; the occasion is supplement D.2: "the KL loss and classification loss cannot converge together".
"""

import math

from attacks.errors import NotConvergedError
from defenses.training.contract import EpochSummary

LEAST_PROGRESS = 0.1  # of the way from chance to perfect training accuracy


def require_convergence(
    name: str, history: list[EpochSummary], accuracy: float, classes: int, regularizer: str
) -> None:
    """Raise `NotConvergedError` with the figures when a model's numbers would be noise.

    Args:
        name: of the defense, for the message.
        history: one summary an epoch.
        accuracy: on training images in eval mode; BatchNorm's running statistics may lag far behind the batch's, so
            the accuracy seen during training proves nothing.
        classes: number of classes, which sets chance.
        regularizer: "kl" must also end nearer the prior than it began; "" or any other name need not.
    """
    last = history[-1]
    for loss, value in last.losses.items():
        if not math.isfinite(value):
            raise NotConvergedError(f"training {name} did not converge: {loss} ended as {value} in epoch {last.epoch}")
    least = 1 / classes + LEAST_PROGRESS * (1 - 1 / classes)
    if accuracy < least:
        raise NotConvergedError(
            f"training {name} did not converge: accuracy on training images {accuracy:.1%} after {last.epochs} epochs, "
            f"chance is {1 / classes:.1%}; no numbers are given. Try more --epochs"
        )
    if regularizer == "kl" and last.losses["penalty"] > history[0].losses["penalty"]:
        raise NotConvergedError(
            f"training {name} did not converge: the KL divergence rose from {history[0].losses['penalty']:.3g} to "
            f"{last.losses['penalty']:.3g} nats while cross-entropy ended at {last.losses['cross_entropy']:.3g}: "
            "the two losses do not converge together. Try a larger --regularizer-weight"
        )
