"""Gradients that vanish, told image by image: an attack that follows them finds nothing, whoever withstands.

Source: Athalye et al. 2018, arXiv:1802.00420, section 4.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.metrics.rates import Rate, rate
from bench.outcomes import select

COLUMN = "gradient"


def with_gradients(outcomes: pd.DataFrame, vanished: NDArray[np.bool_], unmet: NDArray[np.bool_]) -> pd.DataFrame:
    """The rows with a column that says how gradients were; as they are where none of them vanished.

    Args:
        outcomes: all rows of the run; its adversarial ones of set II are those images, in this order.
        vanished: (n,) bool, see `bench.crafting.Crafted`.
        unmet: (n,) bool, images that do not meet the goal as they are; the others need no gradient.
    """
    if not (vanished & unmet).any():
        return outcomes
    told = np.full(len(outcomes), "", dtype=object)
    is_attacked = outcomes.index.isin(select(outcomes, kind="adversarial").index)
    told[is_attacked] = np.where(unmet, np.where(vanished, "vanished", "followed"), "met")
    return outcomes.assign(**{COLUMN: told})


def vanishing_metrics(outcomes: pd.DataFrame) -> dict[str, Rate]:
    """`gradients_vanish`, of the images that the attack had to move; nothing where none of them vanished."""
    if COLUMN not in outcomes:
        return {}
    gradient = select(outcomes, kind="adversarial")[COLUMN]
    return {"gradients_vanish": rate(int((gradient == "vanished").sum()), int((gradient != "met").sum()))}


def vanishing_note(outcomes: pd.DataFrame, *, follows_gradients: bool) -> list[str]:
    """What a reader must know of images that look robust because nothing led away from them.

    Args:
        outcomes: all rows of the run.
        follows_gradients: whether the attack has nothing else to go by; AutoAttack has Square.
    """
    if not (found := vanishing_metrics(outcomes)):
        return []
    vanish = found["gradients_vanish"]
    attacked = select(outcomes, kind="adversarial")
    withstood = int((~attacked["reached"] & (attacked[COLUMN] == "vanished")).sum())
    says = "says nothing. Attack with apgd-dlr or square" if follows_gradients else "rests on square alone"
    return [
        f"the loss gradient is exactly zero at every step for {vanish.successes} of {vanish.n} images that do not "
        f"meet the goal as they are; that {withstood} of them withstand {says}"
    ]
