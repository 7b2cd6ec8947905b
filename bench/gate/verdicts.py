"""The regression gate: is today's run worse than the baseline's, beyond chance?

The rule. What measures the defense alone may rise freely and must not fall. Where attack and defense meet (robust
accuracy, reached, attack success, an attack's median L2 or margin) both directions fail: when a defense of the same
spec withstands more, that is not taken for a better defense but for a weaker attack, until somebody looks and updates
the baseline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from attacks.errors import RequestError
from bench.gate.change_tests import Comparison, compare_number, compare_rate
from bench.gate.measured import Measured, MeasuredNumber, MeasuredRate
from bench.metrics.changes import holm
from bench.tables.differences import differences

LEVEL = 0.05  # of all tests of a check together, after Holm's correction
SAME, IMPROVED, DROPPED, WEAKER_ATTACK = "same", "improved", "dropped", "attack weaker?"
FAILURES = (DROPPED, WEAKER_ATTACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A metric that the gate watches.

    title: for tables; better: +1 when the defense is better with more of it, -1 with less.
    is_of_attack: the attack's strength is in it too, so that both directions fail.
    least: changes up to this never count (share of the baseline's value when `is_relative`): training on another
        machine ends in slightly other weights, which a paired test of continuous values would notice.
    """

    title: str
    better: int
    is_of_attack: bool = False
    least: float = 0.0
    is_relative: bool = False


GUARDED: Mapping[str, Guarded] = {
    "clean_accuracy": Guarded(title="clean accuracy", better=1),
    "accuracy_on_attacked": Guarded(title="clean accuracy on attacked", better=1),
    "robust_accuracy": Guarded(title="robust accuracy", better=1, is_of_attack=True),
    "attack_success_rate": Guarded(title="attack success, no detector", better=-1, is_of_attack=True),
    "reached": Guarded(title="reached the goal", better=-1, is_of_attack=True),
    "median_l2": Guarded(title="median L2", better=1, is_of_attack=True, least=0.1, is_relative=True),
    "median_margin": Guarded(title="median margin", better=-1, is_of_attack=True, least=0.1, is_relative=True),
    "acc_nadv": Guarded(title="ACC-NADV", better=1),
    "acc_com": Guarded(title="ACC-COM", better=1),
    "detection_rate": Guarded(title="detection rate", better=1),
    "false_positive_rate": Guarded(title="false positive rate", better=-1),
    "auroc": Guarded(title="AUROC", better=1, least=0.02),
    "aupr": Guarded(title="AUPR", better=1, least=0.02),
    "tpr_at_5_fpr": Guarded(title="TPR at 5 % FPR", better=1),
    "success_rate_at_5_fpr": Guarded(title="attack success at 5 % FPR", better=-1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One metric, then and now.

    before, after: None where there was nothing to measure; difference: after - before.
    test: which test looked at it, in words; p: its p-value after Holm's correction, None when there was no test.
    verdict: "same", "improved", "dropped" or "attack weaker?"; decided_by: "test", "tolerance", or empty.
    """

    metric: str
    title: str
    before: MeasuredRate | MeasuredNumber | None
    after: MeasuredRate | MeasuredNumber | None
    difference: float | None
    test: str
    p: float | None
    verdict: str
    decided_by: str

    @property
    def fails(self) -> bool:
        """Whether the gate closes."""
        return self.verdict in FAILURES


def require_same_run(known: Measured, spec: Mapping[str, object], run_id: str, dataset_digest: str) -> None:
    """Refuse to compare what was asked for, or seen, differently.

    Raises:
        RequestError: protocol, data or anything else of the spec differ; the sentence names what.
    """
    if spec["protocol"] != known.spec["protocol"]:
        raise RequestError(
            f"{known.label}: the baseline is of protocol {known.spec['protocol']}, this is {spec['protocol']}; {_HOW}"
        )
    if dataset_digest != known.dataset_digest:
        raise RequestError(
            f"{known.label}: the baseline is of other images (digest {known.dataset_digest[:12]}, here "
            f"{dataset_digest[:12]}); {_HOW}"
        )
    if run_id != known.run_id:
        then, now = differences([known.spec, spec])
        what = f"{then or 'another schema of specs'}; here {now or 'this one'}"
        raise RequestError(f"{known.label}: the baseline is of another run ({what}); {_HOW}")


_HOW = "compare like with like, or `bench check --update`"


def compare(pairs: Sequence[tuple[Measured, Measured]], tolerance: float | None = None) -> list[list[Change]]:
    """Compare cells with their baselines, metric by metric; all tests together share one level.

    Args:
        pairs: (baseline, today) of each cell.
        tolerance: absolute change of a rate, AUROC or AUPR, or share of a median L2 or margin, beyond which a change
            counts whatever the test says; None leaves that to the tests.

    Returns:
        One list a cell, its changes in the order of `GUARDED`.
    """
    tested = [[(name, *_test(name, *pair)) for name in _names(*pair)] for pair in pairs]
    flat = [test for cell in tested for _, _, _, test in cell]
    places = [place for place, test in enumerate(flat) if test.p is not None]
    adjusted = dict(zip(places, holm([flat[place].p or 0.0 for place in places]), strict=True))
    corrected = iter(replace(test, p=adjusted.get(place)) for place, test in enumerate(flat))
    return [
        [_change(name, before, after, next(corrected), tolerance) for name, before, after, _ in cell] for cell in tested
    ]


def _names(before: Measured, after: Measured) -> list[str]:
    known = {**before.rates, **before.numbers, **after.rates, **after.numbers}
    return [name for name in GUARDED if name in known]


def _test(
    name: str, before: Measured, after: Measured
) -> tuple[MeasuredRate | MeasuredNumber | None, MeasuredRate | MeasuredNumber | None, Comparison]:
    if name in before.rates or name in after.rates:
        rates = before.rates.get(name), after.rates.get(name)
        return *rates, compare_rate(name, before, after)
    return before.numbers.get(name), after.numbers.get(name), compare_number(name, before, after)


def _change(
    name: str,
    before: MeasuredRate | MeasuredNumber | None,
    after: MeasuredRate | MeasuredNumber | None,
    test: Comparison,
    tolerance: float | None,
) -> Change:
    guarded = GUARDED[name]
    old, new = value_of(before), value_of(after)
    difference = None if old is None or new is None else new - old
    verdict, decided_by = SAME, ""
    if difference and old is not None:
        size = abs(difference) / (abs(old) or 1.0) if guarded.is_relative else abs(difference)
        if test.p is not None and test.p < LEVEL and size > guarded.least:
            decided_by = "test"
        elif tolerance is not None and size > tolerance:
            decided_by = "tolerance"
        if decided_by:
            is_better = difference * guarded.better > 0
            verdict = DROPPED if not is_better else WEAKER_ATTACK if guarded.is_of_attack else IMPROVED
    return Change(
        metric=name,
        title=guarded.title,
        before=before,
        after=after,
        difference=difference,
        test=test.what,
        p=test.p,
        verdict=verdict,
        decided_by=decided_by,
    )


def value_of(entry: MeasuredRate | MeasuredNumber | None) -> float | None:
    """The number of a metric, whichever its kind."""
    if entry is None:
        return None
    return entry.rate.value if isinstance(entry, MeasuredRate) else entry.value
