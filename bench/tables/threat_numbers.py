"""What is told of a detector under one attack, each number with its interval. Reads records only."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.metrics.ranking_interval import ranking_interval
from bench.record import Record

NOTHING = "n/a"
EXPLAINED = (
    "n: images counted that are not adversarial, clean and noisy, + that are. FPR: of clean images alone. Attack "
    "success: misclassified and not flagged. L2: of the images that reached the goal"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of a run. title: for heads; shown: rounded, with its interval; `NOTHING` where there is none."""

    title: str
    shown: Callable[[Record], str]


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
    Number(title="ACC-NADV", shown=_percent("acc_nadv")),
    Number(title="ACC-COM", shown=_percent("acc_com")),
    Number(title="AUROC", shown=_auroc),
    Number(title="TPR at 1 % FPR", shown=_percent("tpr_at_1_fpr")),
    Number(title="TPR at 5 % FPR", shown=_percent("tpr_at_5_fpr")),
    Number(title="attack success at 5 % FPR", shown=_percent("success_rate_at_5_fpr")),
    Number(title="n", shown=_shown_sizes),
    Number(title="reached", shown=_reached),
    Number(title="median L2", shown=_distance),
)
