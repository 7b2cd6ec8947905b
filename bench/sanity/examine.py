"""Checks run on a case; one that breaks off is a flag of its own, so that silence always means that all is well."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from torch import nn

from attacks.registry import ATTACKS
from bench.canonical import plain
from bench.exhibits import Studio
from bench.fitting import training_part
from bench.judge import Exhibit
from bench.sanity.contract import Case, Check, Flag, Passed
from bench.sanity.registry import DEFAULTS
from bench.threats import THREATS
from defenses.classifiers.user_model import USER_MODEL

MOST_TOLD = 20  # images of one flag
OK, FLAGGED, NOT_APPLICABLE = "ok", "FLAGGED", "not applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one check.

    check: its name; status: "ok", "FLAGGED" or "not applicable".
    flag: what was seen, None where nothing was; why: the check does not apply, empty where it does.
    """

    check: str
    status: str
    flag: Flag | None = None
    why: str = ""


def case_of(
    studio: Studio,
    exhibits: Sequence[Exhibit],
    outcomes: pd.DataFrame,
    metrics: dict[str, Any],
    *,
    surrogate: nn.Module | None = None,
    rivals: tuple[tuple[str, Passed], ...] = (),
) -> Case:
    """An evaluation, ready for examination.

    Args:
        studio: that made it.
        exhibits: of set II, the clean one first and the adversarial one last.
        outcomes: its rows.
        metrics: its numbers.
        surrogate: an undefended network of the same images, for transfer.
        rivals: of a detector, see `Case`.
    """
    spec, clean, attacked = studio.spec, exhibits[0], exhibits[-1]
    assert attacked.goal is not None
    is_own = spec.classifier.name == USER_MODEL.name
    return Case(
        model=studio.fitted.classifier,
        images=clean.images,
        labels=clean.labels.to(clean.images.device),
        sample_ids=clean.sample_ids.cpu(),
        adversarial=attacked.images,
        goal=attacked.goal,
        entry=ATTACKS.get(spec.attack),
        config=spec.attack_config,
        backend=spec.backend,
        threat=THREATS.get(studio.dataset.family),
        outcomes=outcomes,
        metrics=plain(metrics),
        test=studio.dataset.test,
        correct=studio.correct.cpu(),
        train=studio.dataset.train if is_own else training_part(spec.classifier, studio.dataset),
        classes=len(studio.dataset.class_names),
        seed=spec.seed,
        is_watched=spec.detector is not None,
        surrogate=surrogate,
        rivals=rivals,
    )


def default_flags(make: Callable[[], Case]) -> list[Flag]:
    """What the cheap checks find in a run; never an exception.

    Args:
        make: gives the case; where that fails, the failure is the only flag.
    """
    try:
        case = make()
    except Exception as error:  # no run is lost to its examination
        return [_failed("the examination", error)]
    return [verdict.flag for verdict in examine(case, DEFAULTS) if verdict.flag]


def examine(case: Case, checks: Sequence[Check]) -> Iterator[Verdict]:
    """One verdict a check, in order, as soon as it is there."""
    for check in checks:
        yield _verdict(case, check)


def _verdict(case: Case, check: Check) -> Verdict:
    try:
        if why := check.excused(case):
            return Verdict(check=check.name, status=NOT_APPLICABLE, why=why)
        evidence = check.find(case)
    except Exception as error:  # a model that breaks off here would break off elsewhere
        return Verdict(check=check.name, status=FLAGGED, flag=_failed(check.name, error))
    if evidence is None:
        return Verdict(check=check.name, status=OK)
    flag = check.flag(evidence)
    return Verdict(check=check.name, status=FLAGGED, flag=_shortened(flag))


def _failed(name: str, error: Exception) -> Flag:
    told = str(error).strip().splitlines()
    return Flag(
        name=f"check failed: {name}",
        sentence=f"{name} broke off with {type(error).__name__}: {told[0] if told else 'no message'}",
        advice="Find out why before trusting the numbers: the model or its attack does not behave like others.",
    )


def _shortened(flag: Flag) -> Flag:
    return replace(flag, images=flag.images[:MOST_TOLD])
