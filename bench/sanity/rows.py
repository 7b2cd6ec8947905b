"""What the rows of a run tell: goals, thresholds, and rates that are won by the wrong means.

Sources: Carlini et al. 2019, arXiv:1902.06705, section 4 and 5; SPEC sections 2 and 4 (the author's evaluation attacks
the predicted label; a detector that flags everything has ACC-COM 100 %).
"""

import re

import torch

from attacks.precision import running_in
from bench.metrics.rates import rate
from bench.outcomes import select
from bench.sanity.contract import Case, Check, Evidence

MOST_FALSE_POSITIVES = 0.10  # of clean and noisy images; ACC-COM above that is bought
MOST_IMAGES = 20  # adversarial images looked at in 8 bits, which costs a run little
MOST_LOST = 0.1  # of the successes
LEVELS = 255
MINIMAL_IN_A_BALL = {"fab", "cw-detector"}  # minimum-norm attacks that have an epsilon, or are part of one that has
THRESHOLD = re.compile(r"threshold_at_(\d+)_fpr")
DETECTOR_METRICS = ("acc_com", "detection_rate")


def _bare(case: Case) -> str:
    return "" if case.is_watched else "no detector"


def _predicted_label(case: Case) -> Evidence | None:
    attacked = select(case.outcomes, kind="adversarial")
    wrong = attacked[attacked["goal_class"] != attacked["label"]]
    if wrong.empty:
        return None
    return Evidence(
        sentence=f"{len(wrong)} of {len(attacked)} images were attacked to leave a class that is not their true one",
        images=tuple(wrong["sample_id"].tolist()),
        numbers={"images": float(len(wrong)), "n": float(len(attacked))},
    )


def _at_the_boundary(case: Case) -> str:
    """Minimum-norm attacks stop just across the decision boundary, where any rounding may lead back."""
    names = {case.entry.name, *case.entry.members}
    is_minimal = not hasattr(case.config, "epsilon") or bool(names & MINIMAL_IN_A_BALL)
    is_bare = getattr(case.config, "confidence", 0.0) == 0
    return "a minimum-norm attack without confidence ends at the boundary by design" if is_minimal and is_bare else ""


def _targeted(case: Case) -> str:
    return "a targeted attack" if case.goal.targeted else ""


def _won_by_flagging(case: Case) -> Evidence | None:
    judged = select(case.outcomes, kind=("clean", "noisy"))
    judged = judged[judged["judged"]]
    flagged = judged[judged["flagged"]]
    share = rate(len(flagged), len(judged))
    attacked = select(case.outcomes, kind="adversarial")
    bought = int((attacked["judged"] & attacked["flagged"]).sum())
    if share.value is None or share.value <= MOST_FALSE_POSITIVES or not bought:
        return None
    return Evidence(
        sentence=f"the detector flags {len(flagged)} of {len(judged)} clean and noisy images ({share.value:.1%}), so "
        "ACC-COM counts alarms that it gives to anything",
        images=tuple(dict.fromkeys(flagged["sample_id"].tolist())),
        numbers={"flagged": float(len(flagged)), "n": float(len(judged))},
    )


def _threshold(case: Case) -> Evidence | None:
    """A threshold fits its name when it lets that share of clean images pass, as nearly as their number allows."""
    rows = select(case.outcomes)
    rows = rows[rows["judged"]]
    clean, attacked = (rows[rows["kind"] == kind]["probability"] for kind in ("clean", "adversarial"))
    for name, told in case.metrics.items():
        found = THRESHOLD.fullmatch(name)
        if found is None or clean.empty:
            continue
        percent = int(found[1])
        most = percent * len(clean) // 100
        caught, reaching = int((clean > told).sum()), int((clean >= told).sum())
        tpr = case.metrics.get(f"tpr_at_{percent}_fpr")
        is_counted = tpr is None or tpr["successes"] == int((attacked > told).sum())
        if caught > most or reaching <= most or not is_counted:
            return Evidence(
                sentence=f"the threshold called that of {percent} % false positives, {told:.4g}, is exceeded by "
                f"{caught} of {len(clean)} clean images and reached by {reaching}, where {most} may exceed it, or "
                "rates were taken at another one",
                numbers={"threshold": float(told), "caught": float(caught), "n": float(len(clean))},
            )
    return None


def _eight_bits(case: Case) -> Evidence | None:
    attacked = select(case.outcomes, kind="adversarial")
    place = {sample_id: at for at, sample_id in enumerate(case.sample_ids.tolist())}
    reached = [place[sample_id] for sample_id in attacked["sample_id"][attacked["reached"]] if sample_id in place]
    places = torch.tensor(reached[:MOST_IMAGES], dtype=torch.int64, device=case.images.device)
    if len(places) == 0:
        return None
    rounded = (case.adversarial[places] * LEVELS).round() / LEVELS
    with torch.no_grad(), running_in("float32", rounded.device):
        lost = case.goal.select(places).margin(case.model(rounded).float()) <= 0
    if float(lost.float().mean()) <= MOST_LOST:
        return None
    ids = case.sample_ids[places.cpu()]
    return Evidence(
        sentence=f"{int(lost.sum())} of {len(places)} successes are none any more once pixels are rounded to 8 bits",
        images=tuple(ids[lost.cpu()].tolist()),
        numbers={"lost": float(lost.sum()), "n": float(len(places))},
    )


PREDICTED_LABEL = Check(
    name="attack-on-prediction",
    summary="images are attacked to leave the predicted class instead of the true one",
    source="SPEC section 2 (a quirk of the author's code); Carlini et al. 2019, arXiv:1902.06705, section 4",
    advice="Attack the true label: moving a misclassified image away from its wrong class corrects it.",
    find=_predicted_label,
    excused=_targeted,
)
WON_BY_FLAGGING = Check(
    name="won-by-flagging",
    summary="the detector flags more than 10 % of clean and noisy images",
    source="SPEC section 4: a detector that flags everything has ACC-COM 100 %",
    advice="Read the rates at 5 % false positives instead of ACC-COM, or fit the detector to flag less.",
    find=_won_by_flagging,
    excused=_bare,
    spoils=DETECTOR_METRICS,
)
FROM_CLEAN = Check(
    name="threshold-not-from-clean",
    summary="a threshold at a false positive rate does not follow from the clean images",
    source="Carlini et al. 2019, arXiv:1902.06705, section 5; SPEC section 4 (threshold from clean inputs only)",
    advice="Take the threshold from clean images alone, and every rate at that threshold.",
    find=_threshold,
    excused=_bare,
    spoils=("tpr_at_5_fpr", "success_rate_at_5_fpr", "tpr_at_1_fpr"),
)
EIGHT_BITS = Check(
    name="eight-bit",
    summary="more than a tenth of the successes are lost when pixels are rounded to 8 bits",
    source="Carlini et al. 2019, arXiv:1902.06705, section 4; Carlini & Wagner 2017, arXiv:1608.04644, section V.C",
    advice="Take every step (--full), a larger epsilon or a --confidence, or say that images are floats alone.",
    find=_eight_bits,
    excused=_at_the_boundary,
)
CHECKS = (PREDICTED_LABEL, WON_BY_FLAGGING, FROM_CLEAN, EIGHT_BITS)
