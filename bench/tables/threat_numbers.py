"""What is told of a detector under one attack, each number with its interval. Reads records only."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.metrics.ranking_interval import ranking_interval
from bench.record import Record
from bench.tables.marks import mark

NOTHING = "n/a"
EXPLAINED = (
    "n: images counted that are not adversarial, clean and noisy, + that are. FPR: of clean images alone. Attack "
    "success: misclassified and not flagged. L2: of the images that reached the goal"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of a run. metric: its name in records; title: for heads; rounded: with its interval, or `NOTHING`."""

    metric: str
    title: str
    rounded: Callable[[Record], str]

    def shown(self, record: Record) -> str:
        """The number, marked where a sanity flag makes it doubtful."""
        return self.rounded(record) + mark(record, self.metric)


def _percent(name: str) -> Callable[[Record], str]:
    def shown(record: Record) -> str:
        rate = record.rate(name)
        if rate is None or rate.value is None or rate.low is None or rate.high is None:
            return NOTHING
        return f"{100 * rate.value:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"

    return shown


def auroc_interval(record: Record) -> tuple[float, float] | None:
    """Ends of the interval of a run's AUROC; None where it has none."""
    auroc, (negatives, positives) = record.number("auroc"), _sizes(record)
    return ranking_interval(auroc, negatives, positives) if auroc is not None and negatives and positives else None


def _auroc(record: Record) -> str:
    auroc, interval = record.number("auroc"), auroc_interval(record)
    if auroc is None or interval is None:
        return NOTHING
    return f"{auroc:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _sizes(record: Record) -> tuple[int, int]:
    """How many images count that are not adversarial, and that are."""
    benign, adversarial = record.rate("acc_nadv"), record.rate("acc_com")
    return (benign.n if benign else 0), (adversarial.n if adversarial else 0)


def _shown_sizes(record: Record) -> str:
    return " + ".join(map(str, _sizes(record)))


def _reached(record: Record) -> str:
    reached = record.rate("reached")
    if reached is None or reached.low is None or reached.high is None:
        return NOTHING
    return f"{reached.successes}/{reached.n} [{100 * reached.low:.1f}, {100 * reached.high:.1f}]"


def _distance(record: Record) -> str:
    distance = record.number("median_l2")
    return NOTHING if distance is None else f"{distance:.3f}"


NUMBERS = (
    Number(metric="acc_nadv", title="ACC-NADV", rounded=_percent("acc_nadv")),
    Number(metric="acc_com", title="ACC-COM", rounded=_percent("acc_com")),
    Number(metric="auroc", title="AUROC", rounded=_auroc),
    Number(metric="tpr_at_1_fpr", title="TPR at 1 % FPR", rounded=_percent("tpr_at_1_fpr")),
    Number(metric="tpr_at_5_fpr", title="TPR at 5 % FPR", rounded=_percent("tpr_at_5_fpr")),
    Number(
        metric="success_rate_at_5_fpr",
        title="attack success at 5 % FPR",
        rounded=_percent("success_rate_at_5_fpr"),
    ),
    Number(metric="n", title="n", rounded=_shown_sizes),
    Number(metric="reached", title="reached", rounded=_reached),
    Number(metric="median_l2", title="median L2", rounded=_distance),
)
