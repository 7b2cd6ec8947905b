"""Marks on numbers that do not stand alone."""

from bench.metrics.rates import Rate

MARKED_FROM = 0.5  # share of the images to be moved; from there on a number does not stand without saying so


def mark(vanish: Rate | None) -> str:
    """What a rate over attacked images ends in where half of the gradients or more vanish; empty elsewhere."""
    if vanish is None or vanish.value is None or vanish.value < MARKED_FROM:
        return ""
    return f" (gradients vanish for {vanish.successes} of {vanish.n})"
