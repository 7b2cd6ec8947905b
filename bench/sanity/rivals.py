"""An attack that knows the detector must not lose to one that does not: runs of the same detector, image by image.

Source: Tramer et al. 2020, arXiv:2002.08347, section 3; Carlini et al. 2019, arXiv:1902.06705, section 5 (an attacker
who knows more and finds less was not tried hard enough).
"""

import pandas as pd

from bench.metrics.changes import mcnemar
from bench.metrics.detection import passes
from bench.outcomes import select
from bench.sanity.contract import DOCTOR, LEVEL, Case, Check, Evidence, Passed


def passes_of(outcomes: pd.DataFrame, threshold: float | None) -> Passed:
    """By index in the test split: misclassified and not above the threshold."""
    rows = select(outcomes, kind="adversarial")
    return dict(zip(rows["sample_id"].tolist(), passes(rows, threshold).tolist(), strict=True))


def _oblivious_wins(case: Case) -> Evidence | None:
    own = passes_of(case.outcomes, case.metrics.get("threshold_at_5_fpr"))
    for name, other in case.rivals:
        shared = own.keys() & other.keys()
        lost = [image for image in shared if other[image] and not own[image]]
        won = [image for image in shared if own[image] and not other[image]]
        if len(lost) > len(won) and mcnemar(len(lost), len(won)) < LEVEL:
            return Evidence(
                sentence=f"{name}, which knows nothing of the detector, misleads and passes on "
                f"{sum(other[image] for image in shared)} of {len(shared)} images, this attack on "
                f"{sum(own[image] for image in shared)}",
                images=tuple(sorted(lost)),
                numbers={"lost": float(len(lost)), "won": float(len(won)), "n": float(len(shared))},
            )
    return None


def _nothing_to_lose_to(case: Case) -> str:
    if not case.entry.is_aware:
        return "the attack knows no detector"
    return "" if case.rivals else "no oblivious run of this detector is stored"


OBLIVIOUS_WINS = Check(
    name="oblivious-wins",
    summary="an attack that does not know the detector passes it more often than the one that does",
    source="Tramer et al. 2020, arXiv:2002.08347, section 3; Carlini et al. 2019, arXiv:1902.06705, section 5",
    advice="Take --attack adaptive, the worst case of several attacks, with more --steps and --restarts.",
    find=_oblivious_wins,
    excused=_nothing_to_lose_to,
    cost=DOCTOR,
)
CHECKS = (OBLIVIOUS_WINS,)
