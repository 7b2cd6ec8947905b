"""What a sanity check looks at, what it gives, and what a raised flag says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd
from torch import Tensor, nn

from attacks.contract import AttackEntry
from attacks.goal import Goal
from bench.datasets.contract import Split
from bench.threats import Threat

DEFAULT, DOCTOR = "default", "doctor"
UNDER_ATTACK = ("robust_accuracy", "acc_com", "success_rate_at_5_fpr", "attack_success_rate")
LEVEL = 0.05  # of a check that compares outcomes on the same images by McNemar's exact test
Made = TypeVar("Made")
Passed = dict[int, bool]
"""By index in the test split: the attacked image misleads the classifier and passes the detector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a check saw.

    sentence: with numbers; images: indices in the test split, the clearest cases first; numbers: finite, by name.
    """

    sentence: str
    images: tuple[int, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A check that found something, as records hold it.

    name: of the check; sentence: what was seen; advice: one sentence on what to do.
    images: indices in the test split; numbers: behind the sentence; spoils: metrics that it makes doubtful.
    """

    name: str
    sentence: str
    advice: str
    images: tuple[int, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)
    spoils: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An evaluation under examination.

    model: in the state it was attacked in, on the device of the tensors below.
    images: (n, c, h, w) float32 in [0, 1], clean, of set II; labels: (n,) int64; sample_ids: (n,) int64 on the CPU.
    adversarial: (n, c, h, w), what the test attack made of them; goal: of that attack.
    entry, config, backend: the test attack; threat: the dataset's L-infinity budget, None where it has none.
    outcomes: one row an image (`bench.outcomes`); metrics: computed from them, as plain JSON.
    test: the whole test split; correct: (test images,) bool on the CPU, the model gets the clean image right.
    train: what the model was trained on, as far as it is known.
    classes: how many there are; seed: of the run.
    is_watched: a detector stands before the model.
    surrogate: another network for the same images, undefended; None where there is none.
    rivals: for a detector, by name, what attacks achieved that know nothing of it.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    sample_ids: Tensor
    adversarial: Tensor
    goal: Goal
    entry: AttackEntry
    config: Any
    backend: str
    threat: Threat | None
    outcomes: pd.DataFrame
    metrics: dict[str, Any]
    test: Split
    correct: Tensor
    train: Split
    classes: int
    seed: int
    is_watched: bool
    surrogate: nn.Module | None = None
    rivals: tuple[tuple[str, Passed], ...] = ()
    _kept: dict[Any, Any] = field(default_factory=dict)

    def once(self, key: Any, make: Callable[[], Made]) -> Made:
        """What `make` gives, computed once for all checks that share it."""
        if key not in self._kept:
            self._kept[key] = make()
        made: Made = self._kept[key]
        return made


def _always(_case: Case) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One known way to overstate robustness.

    name: what a flag is called; summary: one line for tables and documents; source: paper and section.
    advice: what to do when it is flagged; cost: "default", on every run, or "doctor", when `bench doctor` asks.
    find: what was seen, None when all is well; excused: why it says nothing of a case, empty when it does.
    spoils: metrics that it makes doubtful.
    """

    name: str
    summary: str
    source: str
    advice: str
    find: Callable[[Case], Evidence | None]
    excused: Callable[[Case], str] = _always
    cost: str = DEFAULT
    spoils: tuple[str, ...] = UNDER_ATTACK

    def flag(self, evidence: Evidence) -> Flag:
        """The evidence under the check's name."""
        return Flag(
            name=self.name,
            sentence=evidence.sentence,
            advice=self.advice,
            images=evidence.images,
            numbers=evidence.numbers,
            spoils=self.spoils,
        )
