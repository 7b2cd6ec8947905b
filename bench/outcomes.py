"""The table of outcomes: one row an image, and the only thing that metrics are made from.

Columns:
- `sample_id` int: index in the test split; `role`: "fit" (set I) or "test" (set II, or a classifier's test images);
- `kind`: "clean", "noisy" or "adversarial"; `label`, `prediction` int; `correct` bool;
- `goal_class` int: the target, or the true class when untargeted; -1 for clean and noisy images;
- `margin` float: the goal's margin in logit units; `reached` bool: the goal is met with the confidence asked for;
- `l2`, `linf` float: distances to the clean image in pixel units;
- for detectors: `score_*` float, `probability` float (that the image is adversarial), `flagged` bool, `judged`
  bool (it counts: an adversarial image that missed a high confidence does not, under the sound protocol);
- `broken_by` text, only under attacks with members (AutoAttack): the one whose image reached the goal or is
  misclassified; "" for other rows;
- `gradient` text, only where some vanished, of set II's adversarial images: "vanished", "followed", or "met" where the
  clean image meets the goal and needs none; "" for other rows.
"""

from collections.abc import Sequence

import pandas as pd

KINDS = ("clean", "noisy", "adversarial")
ROLES = ("fit", "test")


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows, numbered anew."""
    rows = pd.concat(frames, ignore_index=True)
    return rows.assign(broken_by=rows["broken_by"].fillna("")) if "broken_by" in rows else rows


def select(outcomes: pd.DataFrame, *, role: str = "test", kind: str | Sequence[str] = KINDS) -> pd.DataFrame:
    """The rows of a role and of one or more kinds."""
    kinds = [kind] if isinstance(kind, str) else list(kind)
    return outcomes[(outcomes["role"] == role) & outcomes["kind"].isin(kinds)]
