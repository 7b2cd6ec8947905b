"""Runs of one detector side by side: attacks that know nothing of it, and attacks that do. Reads records only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.canonical import spelled
from bench.record import Record
from bench.spec import ADAPTIVE, OBLIVIOUS
from bench.tables.captions import attack_name
from bench.tables.differences import name_apart
from bench.tables.methods_table import row_names

# of a spec: what runs of one detector may differ in
ATTACK_PARTS = ("attack", "attack_config", "backend", "precision", "threat")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRuns:
    """One detector and the finished runs of it that differ in the attack alone.

    name: no other detector beside it has it.
    oblivious, adaptive: runs by whether their attack knew the detector, in the order given.
    """

    name: str
    oblivious: tuple[Record, ...]
    adaptive: tuple[Record, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """All of them, oblivious ones first."""
        return self.oblivious + self.adaptive

    def strongest(self, threat: str) -> Record | None:
        """The run whose attack misled the classifier unnoticed on most of all attacked images; None without runs.

        Unnoticed at 5 % false positives. Not the one that is flagged least: an attack that leaves images as they are is
        never flagged. Nor the highest rate: one that reaches its confidence on a single image has 100 % of that one.
        """
        return max(getattr(self, threat), key=_success, default=None)


def threat_of(record: Record) -> str:
    """Whether the attack knew the detector: "adaptive" or "oblivious", which older records leave unsaid."""
    return ADAPTIVE if record.detector.get("threat") == ADAPTIVE else OBLIVIOUS


def detector_runs(records: Sequence[Record]) -> list[DetectorRuns]:
    """Finished runs of detectors, grouped by detector in the order of their first run."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "done" and record.spec["detector"]:
            own = _without_attack(record.spec) | {"dataset_digest": record.dataset_digest}
            groups.setdefault(spelled(own), []).append(record)
    named = zip(_names([group[0] for group in groups.values()]), groups.values(), strict=True)
    return [
        DetectorRuns(
            name=name,
            oblivious=tuple(record for record in group if threat_of(record) == OBLIVIOUS),
            adaptive=tuple(record for record in group if threat_of(record) == ADAPTIVE),
        )
        for name, group in named
    ]


def attack_names(records: Sequence[Record]) -> dict[str, str]:
    """By run, its attack's name, "cw κ=9", with what sets it apart from others of that name."""
    attacks = {spelled(attack_of(record)): attack_of(record) for record in records}
    names = name_apart([_attack_name(attack) for attack in attacks.values()], list(attacks.values()))
    by_attack = dict(zip(attacks, names, strict=True))
    return {record.run_id: by_attack[spelled(attack_of(record))] for record in records}


def attack_of(record: Record) -> dict[str, Any]:
    """The part of a spec that is the attack, and which of its images count, which follows from it."""
    parts = {name: record.spec[name] for name in ATTACK_PARTS if name in record.spec}
    return parts | {"target": record.spec["target"], "counted": record.spec["detector"]["counted"]}


def _attack_name(attack: dict[str, Any]) -> str:
    name, backend = attack_name(attack), attack.get("backend", "native")
    return name if backend == "native" else f"{name} ({backend})"


def _success(record: Record) -> float:
    """Of all attacked images, whether they count or not."""
    success, reached = record.rate("success_rate_at_5_fpr"), record.rate("reached")
    return success.successes / reached.n if success is not None and reached is not None and reached.n else -1.0


def _without_attack(spec: Mapping[str, Any]) -> dict[str, Any]:
    detector = {name: value for name, value in spec["detector"].items() if name != "counted"}
    return {name: value for name, value in spec.items() if name not in ATTACK_PARTS} | {"detector": detector}


def _names(detectors: Sequence[Record]) -> list[str]:
    """A name for each detector, given by one run of it; attacks set none apart."""
    options = {name: None for record in detectors for name in record.spec["attack_config"]}
    no_attack = {"attack": "", "attack_config": options}
    bare = [
        replace(record, run_id=str(place), spec=_without_attack(record.spec) | no_attack)
        for place, record in enumerate(detectors)
    ]
    return list(row_names(bare).values())
