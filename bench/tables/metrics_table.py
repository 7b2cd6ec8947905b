"""The table a run ends with: one line a metric, one column a record. Reads records only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.metrics.rates import Rate
from bench.record import Record
from bench.tables.marks import mark

MEMBER = "robust_accuracy_after_"  # and the member's name (`bench.metrics.members`)
Cell = Callable[[Record], str]


def percent(value: Rate | None) -> str:
    """A rate with its interval and n, "97.5 % [94.3, 98.9] n=200"; "n/a" where there is none."""
    if value is None or value.value is None or value.low is None or value.high is None:
        return "n/a (n=0)"
    return f"{100 * value.value:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}] n={value.n}"


def _rate(name: str) -> Cell:
    return lambda record: percent(record.rate(name))


def _number(name: str, digits: int) -> Cell:
    def cell(record: Record) -> str:
        value = record.number(name)
        return "n/a" if value is None else f"{value:.{digits}f}"

    return cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the terminal's table: the metric it needs, its title, and how it is written."""

    metric: str
    title: str
    cell: Cell


ROWS = (
    Row(metric="acc_nadv", title="ACC-NADV", cell=_rate("acc_nadv")),
    Row(metric="acc_com", title="ACC-COM", cell=_rate("acc_com")),
    Row(metric="detection_rate", title="detection rate", cell=_rate("detection_rate")),
    Row(metric="false_positive_rate", title="false positive rate", cell=_rate("false_positive_rate")),
    Row(metric="auroc", title="AUROC", cell=_number("auroc", 3)),
    Row(metric="aupr", title="AUPR", cell=_number("aupr", 3)),
    Row(metric="tpr_at_5_fpr", title="TPR at 5 % FPR", cell=_rate("tpr_at_5_fpr")),
    Row(metric="success_rate_at_5_fpr", title="attack success at 5 % FPR", cell=_rate("success_rate_at_5_fpr")),
    Row(metric="robust_accuracy", title="robust accuracy", cell=_rate("robust_accuracy")),
    Row(metric="attack_success_rate", title="attack success, no detector", cell=_rate("attack_success_rate")),
    Row(metric="clean_accuracy", title="clean accuracy", cell=_rate("clean_accuracy")),
    Row(metric="reached", title="reached the goal", cell=_rate("reached")),
    Row(metric="median_l2", title="median L2 of those", cell=_number("median_l2", 2)),
)


def metrics_table(records: Sequence[Record]) -> list[list[str]]:
    """One line a metric, one column a record; metrics that no record has are left out.

    Returns:
        Rows of cells; the first cell of each is the metric's title.
    """
    table = []
    is_told = all(map(_reached_is_success, records))
    for row in (*_member_rows(records), *ROWS):
        if any(row.metric in record.metrics for record in records) and not (row.metric == "reached" and is_told):
            cells = [
                row.cell(record) + mark(record, row.metric) if row.metric in record.metrics else ""
                for record in records
            ]
            table.append([_title(row, records), *cells])
    return table


def _member_rows(records: Sequence[Record]) -> list[Row]:
    """One a member of an attack that has some."""
    known = dict.fromkeys(name for record in records for name in record.metrics if name.startswith(MEMBER))
    return [Row(metric=name, title=f"robust after {name.removeprefix(MEMBER)}", cell=_rate(name)) for name in known]


def _reached_is_success(record: Record) -> bool:
    """Whether reaching the goal is being misclassified, so that one row tells both: a classifier's, at confidence 0."""
    return not record.spec["detector"] and record.metrics.get("reached") == record.metrics.get("attack_success_rate")


def _title(row: Row, records: Sequence[Record]) -> str:
    confidences = {record.spec["attack_config"].get("confidence", 0) for record in records}
    if row.metric == "reached" and len(confidences) == 1 and confidences != {0}:
        return f"reached confidence {confidences.pop():g}"
    if row.metric == "attack_success_rate" and not any(record.spec["detector"] for record in records):
        return "attack success"
    if row.metric == "median_l2" and all(map(_reached_is_success, records)):
        return "median L2 of successes"
    return row.title
