"""Judging a record anew from stored images, and what differs from what it says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attacks.errors import DamagedError, RequestError
from bench.canonical import plain
from bench.embedding import embedding_distance
from bench.evaluate_classifier import classifier_metrics
from bench.evaluate_detector import detector_metrics
from bench.findings import Findings
from bench.fitting import FittedClassifier
from bench.inference import logits_of_all
from bench.judge import MARGIN_ROUNDING
from bench.metrics.detection import AT_FEWER
from bench.metrics.rates import Rate, rate
from bench.pipeline import code_of, evaluate
from bench.record import Record, load_outcomes
from bench.stations import Clock
from bench.verification.agreement import Gaps, Mask, RowAgreement, compare_rows
from bench.verification.alike import differing
from bench.verification.stored_studio import StoredStudio

FITTED_ROUNDING = 1e-3  # relative and absolute: what follows from the embedding or from set I, by other sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """What came of judging a record anew.

    rows: of the outcomes; metrics: how many there are; agreed: of them, those that follow from the rows.
    problems: one line each; remarks: what a reader should know beside.
    """

    rows: RowAgreement
    metrics: int
    agreed: int
    problems: list[str]
    remarks: list[str]


def rejudge(record: Record, folder: Path, studio: StoredStudio, twin: FittedClassifier | None) -> Rejudged:
    """Judge all images of a record's sets and compare its rows, metrics and detector with what comes out.

    Args:
        record: as read.
        folder: where its outcomes lie.
        studio: of its spec.
        twin: the classifier without its regularizer, where there is one.

    Raises:
        DataError: images or weights are not there.
        DisagreementError, DamagedError: what is stored is not what the record says.
        AttackError: images leave [0, 1] or their ball.
        ModelError: logits are NaN or infinite.
    """
    spec, findings = studio.spec, evaluate(studio, Clock())
    recorded = _read_outcomes(folder)
    rows = compare_rows(recorded, findings.outcomes, spec.attack_config, _gaps(findings, studio.fitted))

    followed: dict[str, Any] = dict(detector_metrics(recorded) if spec.detector else classifier_metrics(recorded))
    followed["clean_accuracy"] = _clean_accuracy(record, studio)
    if not record.metrics.keys() & set(AT_FEWER):  # made before there were these
        followed = {name: value for name, value in followed.items() if name not in AT_FEWER}
    embedding = embedding_distance(spec.classifier, studio.fitted, twin, studio.dataset)
    expected = plain(followed | ({"embedding": embedding} if embedding else {}))
    counted = {name: value for name, value in record.metrics.items() if name != "embedding"}
    wrong = differing(counted, plain(followed), relative=1e-9, absolute=1e-12)
    wrong += differing(
        {name: value for name, value in record.metrics.items() if name == "embedding"},
        {name: value for name, value in expected.items() if name == "embedding"},
        relative=FITTED_ROUNDING,
        absolute=FITTED_ROUNDING,
    )
    count = len(expected.keys() | record.metrics.keys())
    fitted = plain(findings.detector)
    other = differing(_with_threat(record.detector, fitted), fitted, relative=FITTED_ROUNDING, absolute=FITTED_ROUNDING)
    return Rejudged(
        rows=rows,
        metrics=count,
        agreed=count - len(wrong),
        problems=[
            *rows.problems,
            *(f"metric {name}: {_told(name, expected)}, recorded {_told(name, record.metrics)}" for name in wrong),
            *(f"detector's {name}: {_told(name, fitted)}, recorded {_told(name, record.detector)}" for name in other),
        ],
        remarks=_remarks(record, studio, findings),
    )


def _with_threat(recorded: dict[str, Any], fitted: dict[str, Any]) -> dict[str, Any]:
    """What a record says of its detector; those made before attacks could know one leave out that theirs did not."""
    return {"threat": "oblivious"} | recorded if "threat" in fitted else recorded


def _read_outcomes(folder: Path) -> pd.DataFrame:
    try:
        return load_outcomes(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:  # what pyarrow raises is an OSError or a ValueError
        raise DamagedError(f"outcomes.parquet cannot be read ({str(error).splitlines()[0]})") from error


def _gaps(findings: Findings, fitted: FittedClassifier) -> Gaps:
    """Of the rows asked for, how far the largest logit lies above the second."""

    def gaps(asked: Mask) -> NDArray[np.float64]:
        result = np.full(len(asked), np.inf)
        for exhibit in [*findings.fit_exhibits, *findings.exhibits]:
            of_exhibit = (findings.outcomes["role"] == exhibit.role) & (findings.outcomes["kind"] == exhibit.kind)
            rows = np.flatnonzero(asked & of_exhibit.to_numpy())
            place = {sample_id: at for at, sample_id in enumerate(exhibit.sample_ids.tolist())}
            if len(rows):
                places = [place[sample_id] for sample_id in findings.outcomes["sample_id"].iloc[rows]]
                largest = logits_of_all(fitted.classifier, exhibit.images[places]).topk(2).values  # (rows, 2)
                result[rows] = (largest[:, 0] - largest[:, 1]).cpu().numpy()
        return result[asked]

    return gaps


def _clean_accuracy(record: Record, studio: StoredStudio) -> Rate:
    """Over the whole test split; as recorded, where rounding alone decides about the difference."""
    correct = int(studio.correct.sum())
    largest = studio.logits.topk(2).values  # (test images, 2)
    near = int((largest[:, 0] - largest[:, 1] < MARGIN_ROUNDING).sum())
    told = record.metrics.get("clean_accuracy")
    recorded = told.get("successes") if isinstance(told, dict) else None
    if isinstance(recorded, int) and abs(recorded - correct) <= near:
        correct = recorded
    return rate(correct, len(studio.correct))


def _told(name: str, numbers: dict[str, Any]) -> str:
    """A number for a message; of a rate its counts."""
    value = numbers.get(name, "nothing")
    if isinstance(value, dict) and {"successes", "n", "value"} <= value.keys():
        return f"{value['successes']} of {value['n']} ({value['value']})"
    return str(value)


def _remarks(record: Record, studio: StoredStudio, findings: Findings) -> list[str]:
    remarks = []
    try:
        today = code_of(studio.spec)
        other = [part.replace("_", " ") for part in today if record.code.get(part) != today[part]]
    except RequestError:  # a library that made the images is not installed here
        other = ["attack"]
    if other:
        remarks.append(f"made by other code than this version's ({', '.join(other)}); only what it made is judged")
    if record.notes != findings.notes:
        remarks.append("its notes are not those that this version would give")
    return remarks
