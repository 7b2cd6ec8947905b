"""Tables 3 to 6: detectors under attack, ours beside the paper's.

Source: supplement D.1 (Tables 3 to 5, high-confidence C&W) and D.2 (Table 6, with and without regularization).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.paper.artifacts.detection_table import METRICS, Method, detection_table
from bench.paper.artifacts.ranking import ranking_finding
from bench.paper.comparison import decimal, percent
from bench.paper.contract import ArtifactEntry, Made, Wanted
from bench.paper.desk import Desk

FAMILIES = frozenset({"digits", "mnist", "cifar10"})
CONFIDENCE = {"digits": 9.0, "mnist": 9.0, "cifar10": 20.0}  # supplement D.1; digits as MNIST [D]
HIGH_CONFIDENCE_METHODS = ("kd", "lid", "er1", "er2")
REGULARIZATION_METHODS = ("er1-minus", "er1", "er2-minus", "er2")
PROTOCOLS = ("paper", "sound")
ATTACKS = ("pgd", "fgsm", "cw")  # in the order of Table 6
SPELLED = {"pgd": "PGD", "fgsm": "FGSM", "cw": "C&W"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A method under an attack. block: of the table; cell: its run."""

    block: str
    cell: Wanted


def _high_confidence_tests(train_attack: str, desk: Desk) -> list[Tested]:
    attacks = {"attack": "cw", "confidence": CONFIDENCE[desk.dataset.family], "train_attack": train_attack}
    return [
        Tested(block=protocol, cell={"defense": method, "protocol": protocol, **attacks})
        for protocol in PROTOCOLS
        for method in HIGH_CONFIDENCE_METHODS
    ]


def _regularization_tests(desk: Desk) -> list[Tested]:
    del desk  # the same on every dataset
    return [
        Tested(block=SPELLED[attack], cell={"defense": method, "attack": attack, "train_attack": attack})
        for attack in ATTACKS
        for method in REGULARIZATION_METHODS
    ]


def _high_confidence(train_attack: str, desk: Desk) -> Made:
    confidence = CONFIDENCE[desk.dataset.family]
    methods = _methods(desk, _high_confidence_tests(train_attack, desk))
    sound = [method for method in methods if method.block == "sound"]
    return detection_table(
        title=f"Detectors trained on {SPELLED[train_attack]}, tested on C&W at confidence {confidence:g}",
        head="Protocol",
        methods=methods,
        desk=desk,
        findings=(*_floor_findings(methods), ranking_finding({method.name: method.records for method in sound})),
    )


def _regularization(desk: Desk) -> Made:
    methods = _methods(desk, _regularization_tests(desk))
    return detection_table(
        title="ER-Detectors with and without (⁻) regularization, trained on the attack they are tested on",
        head="Attack",
        methods=methods,
        desk=desk,
        findings=_effect_findings(methods),
    )


def _methods(desk: Desk, tests: Sequence[Tested]) -> list[Method]:
    groups = desk.repeated([test.cell for test in tests])
    return [Method(block=test.block, records=records) for test, records in zip(tests, groups, strict=True)]


def _runs(tests_of: Callable[[Desk], list[Tested]], desk: Desk) -> list[Wanted]:
    return desk.over_seeds([test.cell for test in tests_of(desk)])


def _floor_findings(methods: Sequence[Method]) -> tuple[str, ...]:
    """Methods whose ACC-COM owes nothing to their detector, so that its interval holds the floor."""
    at_floor = [
        f"{method.name} ({method.block})"
        for method in methods
        if (own := method.rate("acc_com")).low is not None
        and (floor := method.floor.value) is not None
        and own.low <= floor
    ]
    return (
        (f"ACC-COM not above its floor, what the classifier alone gets right: {', '.join(at_floor)}",)
        if at_floor
        else ()
    )


def _effect_findings(methods: Sequence[Method]) -> tuple[str, ...]:
    """What the regularizer changes, per attack and size, by both of the paper's numbers and by AUROC."""
    sentences = []
    by_name = {(method.block, method.name): method for method in methods}
    for (block, name), without in by_name.items():
        regularized = by_name.get((block, name.removesuffix("⁻")))
        if not name.endswith("⁻") or regularized is None:
            continue
        changes = [
            f"{title} {percent(without.rate(metric))} → {percent(regularized.rate(metric))}"
            for metric, title in METRICS
        ]
        changes.append(f"AUROC {decimal(without.number('auroc'))} → {decimal(regularized.number('auroc'))}")
        sentences.append(f"{block}, {name} → {regularized.name}: {'; '.join(changes)}")
    return tuple(sentences)


def _entry(number: int, train_attack: str) -> ArtifactEntry:
    return ArtifactEntry(
        name=f"table{number}",
        summary=f"KD, LID, ER1, ER2 trained on {SPELLED[train_attack]}, tested on high-confidence C&W, both protocols",
        source=f"supplement D.1, Table {number}",
        families=FAMILIES,
        runs=partial(_runs, partial(_high_confidence_tests, train_attack)),
        make=partial(_high_confidence, train_attack),
    )


TABLE3 = _entry(3, "fgsm")
TABLE4 = _entry(4, "pgd")
TABLE5 = _entry(5, "cw")
TABLE6 = ArtifactEntry(
    name="table6",
    summary="ER1⁻, ER1, ER2⁻, ER2 under PGD, FGSM and C&W: what regularization changes",
    source="supplement D.2, Table 6",
    families=FAMILIES,
    runs=partial(_runs, _regularization_tests),
    make=_regularization,
)
