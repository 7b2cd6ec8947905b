"""One cell's numbers with what is behind them, image by image: what a regression gate compares.

Today's run and the baseline's are brought into this one form, so that comparing them needs nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from attacks.errors import DataError, RequestError
from bench.metrics.cases import rate_cases
from bench.metrics.rates import Rate, rate
from bench.outcomes import KINDS, select
from bench.record import Record

SUCCESS, FAILURE, NOT_COUNTED = "1", "0", "."


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRate:
    """A rate and its cases.

    rate: with n and interval.
    outcomes: by kind, one character an image in the order of the cell's `sample_ids`: "1", "0", or "." where the image
        does not count; empty where a rate is not made from single outcomes (`clean_accuracy`).
    """

    rate: Rate
    outcomes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredNumber:
    """A metric that is no rate. value: None where there was nothing to measure; n: cases behind it."""

    value: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One cell's numbers.

    label, run_id, dataset_digest, request, spec, code: as in its record.
    machine: what training rounds by: processor or GPU, PyTorch's version, number of threads.
    sample_ids: (n,) of the test images, ascending.
    rates, numbers: by name.
    ranks: by kind, the rank of each image's probability among all that count (ties share one), None where it does not;
        empty for bare classifiers. AUROC and AUPR follow from them.
    strengths: what tells how far the attack went beyond a yes or no, of each image to six digits (`strength_of`), None
        where it does not count; `median_l2` or `median_margin` follows from them.
    """

    label: str
    run_id: str
    dataset_digest: str
    request: dict[str, Any]
    spec: dict[str, Any]
    code: dict[str, str]
    machine: dict[str, str]
    sample_ids: list[int]
    rates: dict[str, MeasuredRate]
    numbers: dict[str, MeasuredNumber]
    ranks: dict[str, list[int | None]]
    strengths: list[float | None]


def measured(record: Record, outcomes: pd.DataFrame) -> Measured:
    """What a baseline keeps of a finished run.

    Args:
        record: of status "done".
        outcomes: its rows.

    Raises:
        RequestError: the record does not say what was asked for.
        DataError: a rate of the record is not that of its outcomes.
    """
    if not record.request:
        raise RequestError(f"the record of {record.label} is of an older version; remove it and run it again")
    sample_ids = sorted(int(sample_id) for sample_id in select(outcomes, kind="clean")["sample_id"])
    cases = rate_cases(outcomes)
    rates = {}
    for name in record.metrics:
        if name == "clean_accuracy" or name in cases:
            recorded = record.rate(name)
            assert recorded is not None
            rates[name] = MeasuredRate(rate=recorded, outcomes=_strings(cases.get(name), sample_ids))
            _check_rate(name, record.label, rates[name])
    ranks = _ranks(outcomes, sample_ids)
    name, strengths = strength_of(record.spec["attack_config"], outcomes, cases["reached"])
    known = [value for value in strengths.values() if value is not None]
    numbers = {name: MeasuredNumber(value=float(np.median(known)) if known else None, n=len(known))} if name else {}
    ranked = sum(rank is not None for kind in ranks.values() for rank in kind)
    for ranking in ("auroc", "aupr"):
        if ranking in record.metrics:
            numbers[ranking] = MeasuredNumber(value=record.number(ranking), n=ranked)
    return Measured(
        label=record.label,
        run_id=record.run_id,
        dataset_digest=record.dataset_digest,
        request=record.request,
        spec=record.spec,
        code=record.code,
        machine=_machine(record.provenance),
        sample_ids=sample_ids,
        rates=rates,
        numbers=numbers,
        ranks=ranks,
        strengths=[strengths.get(sample_id) for sample_id in sample_ids],
    )


def _strings(cases: pd.Series | None, sample_ids: list[int]) -> dict[str, str]:
    if cases is None:
        return {}
    values = {_key(case): bool(value) for case, value in cases.items()}
    kinds = [kind for kind in KINDS if any(key[0] == kind for key in values)]
    signs = {True: SUCCESS, False: FAILURE, None: NOT_COUNTED}
    return {kind: "".join(signs[values.get((kind, sample_id))] for sample_id in sample_ids) for kind in kinds}


def _machine(provenance: Mapping[str, Any]) -> dict[str, str]:
    torch = provenance.get("versions", {}).get("torch")
    parts = {"device": provenance.get("device"), "torch": torch, "threads": provenance.get("threads")}
    return {name: str(value) for name, value in parts.items()}


def _key(case: Any) -> tuple[str, int]:
    kind, sample_id = case
    return str(kind), int(sample_id)


def _ranks(outcomes: pd.DataFrame, sample_ids: list[int]) -> dict[str, list[int | None]]:
    if "probability" not in outcomes.columns:
        return {}
    rows = select(outcomes)
    judged = rows[rows["judged"]]
    ranks = rankdata(judged["probability"], method="dense")
    known = {
        (kind, sample_id): int(rank)
        for kind, sample_id, rank in zip(judged["kind"], judged["sample_id"], ranks, strict=True)
    }
    return {kind: [known.get((kind, sample_id)) for sample_id in sample_ids] for kind in KINDS}


def strength_of(
    attack_config: Mapping[str, Any], outcomes: pd.DataFrame, reached: pd.Series
) -> tuple[str, dict[int, float | None]]:
    """How strong an attack was on each image, where success alone is too coarse to show that it weakens.

    An attack without a budget looks for the least L2: that of the images that reached the goal. One with a budget
    that takes every step looks for the largest margin. One that stops at success has no other strength.

    Args:
        attack_config: of the spec, plain JSON.
        outcomes: the rows of the run.
        reached: (kind, sample_id) -> bool, the cases of the rate of that name.

    Returns:
        The number's name, empty where there is none, and a value by sample id.
    """
    rows = select(outcomes, kind="adversarial").set_index("sample_id")
    counted = {_key(case)[1]: bool(value) for case, value in reached.items()}
    if "epsilon" not in attack_config:
        return "median_l2", {i: _six_digits(rows["l2"][i]) if is_reached else None for i, is_reached in counted.items()}
    if attack_config.get("until", "end") == "end":
        return "median_margin", {i: _six_digits(rows["margin"][i]) for i in counted}
    return "", {}


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")


def _check_rate(name: str, label: str, found: MeasuredRate) -> None:
    """A rate with cases is the one that they give."""
    text = "".join(found.outcomes.values())
    counted = rate(text.count(SUCCESS), len(text) - text.count(NOT_COUNTED))
    if found.outcomes and (counted.successes, counted.n) != (found.rate.successes, found.rate.n):
        raise DataError(
            f"{label}: {name} is recorded as {found.rate.successes} of {found.rate.n}, its outcomes give "
            f"{counted.successes} of {counted.n}; remove the record and run it again"
        )
