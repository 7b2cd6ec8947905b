"""A table of detectors: methods in blocks, the paper's two numbers beside ours, and what keeps them honest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.metrics.over_seeds import Estimate, estimate_mean, estimate_rate
from bench.paper.comparison import BETTER, EQUAL, EXPLAINED, WORSE, Comparison, decimal, estimated, percent
from bench.paper.contract import Column, Entry, Made, PaperTable, Row
from bench.paper.desk import Desk
from bench.paper.failures import failures_of
from bench.paper.published import published_for
from bench.record import Record
from bench.request import DEFAULT_SET_SIZE
from bench.tables.marks import mark
from bench.tables.methods_table import method_name

METRICS = (("acc_nadv", "ACC-NADV"), ("acc_com", "ACC-COM"))
RANKINGS = ("auroc", "low_score_auroc")
LEGEND = (
    f"{EXPLAINED}. Floor: ACC-COM if nothing were flagged. AUROC: of the detector's probability. Caught: flagged at "
    "5 % false positives. Reached: images that the attack brought to its goal and confidence; L2: their median distance"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row. block: what its block shares ("sound", "PGD"); records: one a seed."""

    block: str
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        """The paper's spelling."""
        return method_name(self.records[0])

    def comparison(self, metric: str) -> Comparison:
        """One of the paper's two numbers, ours beside it."""
        published = published_for(self.records[0].spec)
        is_told = published is not None and not (metric == "acc_com" and self.was_never_reached)
        return Comparison(ours=self.rate(metric), paper=getattr(published, metric) if is_told else None)

    @property
    def was_never_reached(self) -> bool:
        """Whether the attack reached its goal for no image, so that nothing is known of what the detector does then."""
        return self.rate("reached").value == 0

    def rate(self, metric: str) -> Estimate:
        """A share over seeds."""
        return estimate_rate([record.rate(metric) for record in self.records])

    def number(self, metric: str) -> Estimate:
        """Any other number over seeds."""
        highest = 1.0 if metric in RANKINGS else math.inf
        return estimate_mean([record.number(metric) for record in self.records], lowest=0.0, highest=highest)

    def mark(self, metric: str) -> str:
        """What a number ends in where a sanity flag of any seed makes it doubtful; empty elsewhere."""
        return max(mark(record, metric) for record in self.records)

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of the sanity flags of all seeds."""
        return tuple(dict.fromkeys(flag["name"] for record in self.records for flag in record.flags))

    @property
    def floor(self) -> Estimate:
        """Share of adversarial inputs that are classified correctly, whatever the detector says."""
        fooled = self.rate("attack_success_rate")
        if fooled.value is None or fooled.low is None or fooled.high is None:
            return fooled
        return Estimate(
            value=1 - fooled.value, low=1 - fooled.high, high=1 - fooled.low, n=fooled.n, seeds=fooled.seeds
        )


def detection_table(*, title: str, head: str, methods: Sequence[Method], desk: Desk, findings: tuple[str, ...]) -> Made:
    """The artifact of a few detectors.

    Args:
        title: see `Made`.
        head: what the blocks differ in ("Protocol").
        methods: the rows, those of one block together.
        desk: whose request says how many images there are.
        findings: beyond verdicts and failures, which every such table tells.
    """
    blocks = dict.fromkeys(method.block for method in methods)
    table = PaperTable(
        columns=(
            Column(title=head),
            Column(title="Method"),
            *(Column(title=part, groups=(title,)) for _, title in METRICS for part in ("ours", "paper", "Δ")),
            *(Column(title=part, groups=("ours alone",)) for part in ("floor", "AUROC", "caught", "reached", "L2")),
        ),
        names=2,
        blocks=tuple(tuple(_row(method) for method in methods if method.block == block) for block in blocks),
    )
    labelled = [(f"{method.name} ({method.block})", record) for method in methods for record in method.records]
    settings = desk.request.settings
    n_fit, n_test = (settings.get(name, DEFAULT_SET_SIZE) for name in ("n_fit", "n_test"))
    return Made(
        title=title,
        table=table,
        data=tuple(row for method in methods for row in _data(method)),
        findings=(
            *_verdicts(methods),
            *_never_reached(methods),
            *findings,
            *_flagged(methods),
            *failures_of(labelled),
        ),
        counted=(
            f"n {n_fit} images in set I, {n_test} in set II a seed, each clean, noisy and adversarial; at a confidence "
            "above 0 the sound protocol counts those adversarial ones that reached it"
        ),
        legend=f"Ours: {estimated(len(desk.request.seeds))}; {LEGEND}",
        keys=tuple(record.run_id for _, record in labelled),
    )


def _row(method: Method) -> Row:
    compared = [entry for metric, _ in METRICS for entry in _compared(method, metric)]
    beside = (
        percent(method.floor),
        decimal(method.number("auroc")) + method.mark("auroc"),
        percent(method.rate("tpr_at_5_fpr")) + method.mark("tpr_at_5_fpr"),
        percent(method.rate("reached")) + method.mark("reached"),
        decimal(method.number("median_l2")) + method.mark("median_l2"),
    )
    return (Entry(text=method.block), Entry(text=method.name), *compared, *(Entry(text=text) for text in beside))


def _compared(method: Method, metric: str) -> tuple[Entry, ...]:
    ours, *others = method.comparison(metric).entries()
    return (replace(ours, text=ours.text + method.mark(metric)), *others)


def _data(method: Method) -> list[dict[str, Any]]:
    rows = []
    for metric in ("acc_nadv", "acc_com", "detection_rate", "tpr_at_5_fpr", "success_rate_at_5_fpr", "reached"):
        compared = (
            method.comparison(metric) if metric in dict(METRICS) else Comparison(ours=method.rate(metric), paper=None)
        )
        rows.append(_data_row(method, metric, compared.ours, compared.paper, compared.verdict))
    rows += [_data_row(method, metric, method.number(metric), None, "n/a") for metric in (*RANKINGS, "median_l2")]
    return rows


def _data_row(method: Method, metric: str, ours: Estimate, paper: float | None, verdict: str) -> dict[str, Any]:
    return {
        "block": method.block,
        "method": method.name,
        "metric": metric,
        "ours": ours.value,
        "low": ours.low,
        "high": ours.high,
        "n": ours.n,
        "seeds": ours.seeds,
        "paper": paper,
        "verdict": verdict,
        "runs": " ".join(record.run_id for record in method.records),
    }


def _never_reached(methods: Sequence[Method]) -> tuple[str, ...]:
    named = [f"{method.name} ({method.block})" for method in methods if method.was_never_reached]
    told = "the attack reached its goal for no image, so that ACC-COM, without a verdict, says nothing of the detector"
    return (f"{told}: {', '.join(named)}",) if named else ()


def _flagged(methods: Sequence[Method]) -> tuple[str, ...]:
    named = [f"{method.name} ({method.block}): {', '.join(method.flags)}" for method in methods if method.flags]
    told = "sanity flags, explained by the runs' own output; they make the numbers marked (!) doubtful"
    return (f"{told}: {'; '.join(named)}",) if named else ()


def _verdicts(methods: Sequence[Method]) -> tuple[str, ...]:
    """How many cells are better, equal or worse, a sentence a block, the worse ones named."""
    sentences = []
    for block in dict.fromkeys(method.block for method in methods):
        found: dict[str, list[str]] = {BETTER: [], EQUAL: [], WORSE: []}
        for method in methods:
            for metric, title in METRICS:
                verdict = method.comparison(metric).verdict
                if method.block == block and verdict in found:
                    found[verdict].append(f"{method.name} {title}")
        if any(found.values()):
            counts = ", ".join(f"{len(names)} {verdict}" for verdict, names in found.items())
            worse = f"; worse: {', '.join(found[WORSE])}" if found[WORSE] else ""
            sentences.append(
                f"{block}: {counts} than the paper beyond our interval{worse}".replace("equal than", "equal to")
            )
    return tuple(sentences)
