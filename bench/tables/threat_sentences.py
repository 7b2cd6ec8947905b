"""A detector's runs in a line of plain English: how much it flags of each threat, and how much gets past it."""

from collections.abc import Mapping

from bench.record import Record
from bench.spec import ADAPTIVE, OBLIVIOUS, THREATS
from bench.tables.detector_runs import DetectorRuns


def sentence(detector: DetectorRuns, attacks: Mapping[str, str]) -> str:
    """How much a detector flags: "KD flags 98 % of 97 oblivious (cw κ=9) and 3 % of 100 adaptive (pgd-selective) …".

    Of each threat it tells the strongest attack (`DetectorRuns.strongest`), and how often it misleads unnoticed.

    Args:
        detector: at least one run of it.
        attacks: by run, the attack's name.
    """
    told = {threat: run for threat in THREATS if (run := detector.strongest(threat)) is not None}
    flagged = " and ".join(f"{_flagged(run)} {threat} ({attacks[run.run_id]})" for threat, run in told.items())
    past = " and ".join(_past(run) for run in told.values())
    missing = {OBLIVIOUS: "an oblivious", ADAPTIVE: "an adaptive"}
    without = "".join(f"; no run of {missing[threat]} attack beside it" for threat in THREATS if threat not in told)
    unnoticed = f"{past} mislead the classifier unnoticed"
    return f"{detector.name} flags {flagged} examples at 5 % false alarms; {unnoticed}{without}"


def _flagged(run: Record) -> str:
    rate = run.rate("tpr_at_5_fpr")
    return "none of 0" if rate is None or rate.value is None else f"{_percent(rate.value)} of {rate.n}"


def _past(run: Record) -> str:
    rate = run.rate("success_rate_at_5_fpr")
    return "none" if rate is None or rate.value is None else _percent(rate.value)


def _percent(share: float) -> str:
    """Whole percents, but never 0 or 100 of a share that is neither."""
    whole = round(100 * share)
    if (whole == 0 and share > 0) or (whole == 100 and share < 1):
        return f"{min(99.9, max(0.1, 100 * share)):.1f} %"
    return f"{whole} %"
