"""Whether the attack was given enough: steps that span the ball, more of them that change nothing, a loss at rest.

Sources: Carlini et al. 2019, arXiv:1902.06705, section 4; Croce & Hein 2020, arXiv:2003.01690, section 3; Pintor et
al. 2022, arXiv:2106.09947 (incomplete optimization, silent success).
"""

from dataclasses import replace

import torch
from torch import Tensor

from bench.findings import budget_notes
from bench.outcomes import select
from bench.sanity.climbs import (
    attack_with,
    broken_by,
    climb,
    doubled,
    examined,
    is_beyond,
    known_budget,
    named,
    none_right,
    takes_steps,
)
from bench.sanity.contract import DOCTOR, Case, Check, Evidence

LAST = 0.25  # of the steps, in which the margin should be at rest
MOST_RISE = 0.15  # of the whole rise, in the last quarter; a steady climb has 0.25 there
MOST_FURTHER_RISE = 0.5  # of the whole rise, with twice the steps; a steady climb has 1 there
LEAST_GAIN = 0.1  # of what is missing to the boundary, with twice the steps; less would change no outcome
STANDARD_ERRORS = 2.6  # 99 % that the mean still rises
LEAST_IMAGES = 5  # below it a mean says little
FEW = 16  # images attacked again by the run's own attack
SURE = 1e-3  # logit units, beyond what passes of other batch shapes differ by
NATIVE = "native"


def _short_steps(case: Case) -> Evidence | None:
    notes = budget_notes(case.config)
    if not notes:
        return None
    numbers = {name: getattr(case.config, name, None) for name in ("epsilon", "step_size", "steps")}
    return Evidence(
        sentence=notes[0], numbers={name: float(told) for name, told in numbers.items() if told is not None}
    )


def _too_small(case: Case) -> Evidence | None:
    budget = known_budget(case)
    base = climb(case, budget)
    longer = doubled(case)
    tried = {
        f"{longer.steps} steps of {longer.step_size:g} instead of {budget.steps} of {budget.step_size:g}": longer,
        "2 restarts instead of 1": replace(budget, restarts=2),
    }
    first = {} if _no_steps(case) else {"the same budget": base.success}
    own = _own_success(case)
    if own is not None:
        first["the run's own attack"] = own
    for name, before in first.items():
        for what, other in tried.items():
            after = broken_by(case, other)
            if is_beyond(before, after) and int(after.sum()) > int(before.sum()):
                return Evidence(
                    sentence=f"PGD with {what} succeeds on {int(after.sum())} of {len(after)} images, "
                    f"{name} on {int(before.sum())}",
                    images=named(case, after & ~before),
                    numbers={"before": float(before.sum()), "after": float(after.sum()), "n": float(len(after))},
                )
    return None


def _no_steps(case: Case) -> str:
    if not takes_steps(case):
        return "the run's attack takes no steps of one given size"
    return none_right(case)


def _nothing_to_compare(case: Case) -> str:
    if why := none_right(case):
        return why
    return _no_steps(case) if _own_success(case) is None else ""


def _own_success(case: Case) -> Tensor | None:
    """(m,) bool, what the run's attack did to the examined images; None where its success is another thing."""
    if case.is_watched or case.goal.targeted or not hasattr(case.config, "epsilon"):
        return None
    rows = select(case.outcomes, kind="adversarial").set_index("sample_id")
    ids = case.sample_ids[examined(case)].tolist()
    return torch.tensor([not bool(rows["correct"][sample_id]) for sample_id in ids])


def _still_rises(case: Case) -> Evidence | None:
    result = climb(case, known_budget(case))
    margin = result.margin[~result.success]  # (unbroken, steps + 1)
    if len(margin) < LEAST_IMAGES:
        return None
    steps = margin.shape[1] - 1
    late = margin[:, -1] - margin[:, steps - max(1, round(LAST * steps))]
    whole = margin[:, -1] - margin[:, 0]
    error = float(late.std()) / len(late) ** 0.5
    if float(late.mean()) <= STANDARD_ERRORS * error or float(late.mean()) <= MOST_RISE * float(whole.mean()):
        return None
    further = climb(case, doubled(case)).margin[~result.success][:, -1] - margin[:, -1]
    missing = float(-margin[:, -1].mean())  # to the boundary
    if float(further.mean()) <= max(MOST_FURTHER_RISE * float(whole.mean()), LEAST_GAIN * missing):
        return None
    return Evidence(
        sentence=f"over the last quarter of {steps} steps the margin of the {len(margin)} images that withstand still "
        f"rises by {float(late.mean()):.3g} of {float(whole.mean()):.3g} in all, and with {doubled(case).steps} steps "
        f"by {float(further.mean()):.3g} more",
        images=named(case, ~result.success),
        numbers={
            "late_rise": float(late.mean()),
            "rise": float(whole.mean()),
            "further_rise": float(further.mean()),
            "n": float(len(margin)),
        },
    )


def _silent_success(case: Case) -> Evidence | None:
    places = examined(case)[:FEW]
    result = attack_with(case, case.entry, case.config, places)
    best = result.margin.nan_to_num(nan=-torch.inf).amax(dim=1) if result.margin.shape[1] else None
    if best is None:
        return None
    lost = (best > SURE) & ~result.success
    if not bool(lost.any()):
        return None
    return Evidence(
        sentence=f"{int(lost.sum())} of {len(places)} images were misclassified at some step and are not in what the "
        "attack gave back",
        images=tuple(case.sample_ids[places][lost].tolist()),
        numbers={"lost": float(lost.sum()), "n": float(len(places))},
    )


def _no_iterates(case: Case) -> str:
    if case.entry.is_aware or case.backend != NATIVE or not takes_steps(case):
        return "the attack's steps cannot be watched, or may leave its budget"
    if case.goal.targeted:
        return "a targeted attack"
    return none_right(case)


SHORT_STEPS = Check(
    name="steps-too-short",
    summary="the attack's steps together do not span the ball, or one of them leaps over it",
    source="Carlini et al. 2019, arXiv:1902.06705, section 4",
    advice="Give --steps and --step-size so that steps times step size is 2 to 3 times epsilon.",
    find=_short_steps,
)
TOO_SMALL = Check(
    name="budget-too-small",
    summary="twice the steps, or a second restart, break more images than the interval allows",
    source="Carlini et al. 2019, arXiv:1902.06705, section 4.3",
    advice="Take more steps and restarts (pgd, or auto) until the success rate no longer changes.",
    find=_too_small,
    excused=_nothing_to_compare,
    cost=DOCTOR,
)
STILL_RISES = Check(
    name="loss-still-rises",
    summary="the margin of images that withstand still rises over the last quarter of the steps",
    source="Pintor et al. 2022, arXiv:2106.09947 (incomplete optimization); arXiv:1902.06705, section 4.3",
    advice="Raise --steps, or --step-size, until the loss comes to rest.",
    find=_still_rises,
    excused=_no_steps,
    cost=DOCTOR,
)
SILENT_SUCCESS = Check(
    name="silent-success",
    summary="the attack gives back images that fail though an earlier iterate succeeded",
    source="Pintor et al. 2022, arXiv:2106.09947 (silent success)",
    advice="Keep each image's worst iterate instead of the last one.",
    find=_silent_success,
    excused=_no_iterates,
    cost=DOCTOR,
)
CHECKS = (SHORT_STEPS, TOO_SMALL, STILL_RISES, SILENT_SUCCESS)
