"""Is the paper's ranking, KD and LID below ER1 and ER2, ours too? Told by a number that no threshold decides."""

from collections.abc import Mapping, Sequence

from bench.metrics.over_seeds import Estimate, estimate_mean, estimate_rate
from bench.record import Record

BASELINES, ER_DETECTORS = ("KD", "LID"), ("ER1", "ER2")


def ranking_finding(methods: Mapping[str, Sequence[Record]]) -> str:
    """One sentence: the ranking by what is caught at 5 % false positives, with AUROC, and the verdict.

    The paper's ranking is confirmed where every ER-Detector lies above every baseline beyond both intervals, refuted
    where a baseline lies so above an ER-Detector, and open otherwise: intervals overlap or a method gave no numbers.

    Args:
        methods: by the paper's spelling, the records of one protocol, one a seed.
    """
    caught = {
        name: estimate_rate([record.rate("tpr_at_5_fpr") for record in records]) for name, records in methods.items()
    }
    ranking = {name: estimate_mean([record.number("auroc") for record in records]) for name, records in methods.items()}
    order = sorted(caught, key=lambda name: -(caught[name].value or 0))
    shown = ", ".join(f"{name} {_percent(caught[name])} (AUROC {_decimal(ranking[name])})" for name in order)
    return (
        f"sound protocol, caught at 5 % false positives: {shown}. The paper's KD, LID < ER1, ER2 is {_verdict(caught)}"
    )


def _verdict(caught: Mapping[str, Estimate]) -> str:
    pairs = [(caught[er], caught[baseline]) for er in ER_DETECTORS for baseline in BASELINES]
    if all(er.lies_above(baseline) for er, baseline in pairs):
        return "confirmed"
    if all(baseline.lies_above(er) for er, baseline in pairs):
        return "refuted: it is the other way round"
    if any(baseline.lies_above(er) for er, baseline in pairs):
        return "refuted: a baseline lies above an ER-Detector beyond both intervals"
    if unknown := [name for name in (*BASELINES, *ER_DETECTORS) if caught[name].value is None]:
        return f"neither confirmed nor refuted: {' and '.join(unknown)} gave no numbers"
    return "neither confirmed nor refuted: the intervals overlap"


def _percent(estimate: Estimate) -> str:
    return "n/a" if estimate.value is None else f"{100 * estimate.value:.0f} %"


def _decimal(estimate: Estimate) -> str:
    return "n/a" if estimate.value is None else f"{estimate.value:.2f}"
