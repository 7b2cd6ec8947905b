"""A run, frozen: everything its numbers follow from, and nothing else.

Device, batch size and the place of files are not part of it; they stand beside the spec in the record.
"""

from dataclasses import dataclass
from typing import Any

from bench.canonical import content_hash

SCHEMA = 3  # of the spec: part of every run's hash
PROTOCOLS = ("sound", "paper")
THREATS = OBLIVIOUS, ADAPTIVE = ("oblivious", "adaptive")  # what an attacker knows of the detector
COUNTED = ("reached", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSpec:
    """A classifier to be fitted.

    name: registered; family: of networks; config: its training, complete; n_train: training images, a random part
    of the split when it is smaller; seed: of everything random in training.
    """

    name: str
    family: str
    config: Any
    n_train: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSpec:
    """A detector to be fitted and judged.

    name: registered; config: its own options, complete; train_attack, train_attack_config: what set I is attacked
    with; n_fit: images of set I.
    counted: "reached" leaves adversarial images of set II that missed the confidence out of the rates, "all" counts
        them.
    noise_l2: mean L2 of the noisy images in pixel units; None makes it that of the adversarial images of their set.
    class_weight: "none" or "balanced" classes in the logistic regression.
    """

    name: str
    config: Any
    train_attack: str
    train_attack_config: Any
    n_fit: int
    counted: str
    noise_l2: float | None
    class_weight: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One cell of the benchmark.

    dataset: name as given; defense: name as given; recipe: name of the training settings.
    classifier: what is attacked; detector: what watches it, None for a bare classifier.
    attack, attack_config: the test attack, complete; backend: whose implementation of it.
    precision: of the passes that attacks make through the model; judging is in float32 always.
    target: "none", "random", "least-likely" or a class number as text.
    protocol: "sound" or "paper".
    n_test: images judged.
    seed: of sets, starts, targets and noise.
    """

    dataset: str
    image_size: int | None
    channels: int | None
    defense: str
    recipe: str
    classifier: ClassifierSpec
    detector: DetectorSpec | None
    attack: str
    attack_config: Any
    backend: str
    precision: str
    target: str
    protocol: str
    n_test: int
    seed: int

    def run_id(self, dataset_digest: str) -> str:
        """The hash that names this run on these bytes."""
        return content_hash({"schema": SCHEMA, "spec": self, "dataset": dataset_digest})

    @property
    def confidence(self) -> float:
        """Kappa in logit units; 0 for attacks that know none."""
        return float(getattr(self.attack_config, "confidence", 0.0))

    @property
    def label(self) -> str:
        """A few words for a table's head: defense, attack and what sets them apart."""
        attack = f"{self.attack} κ={self.confidence:g}" if self.confidence else self.attack
        if self.backend != "native":
            attack += f" ({self.backend})"
        if self.target != "none":
            attack += f" →{self.target}"
        return f"{self.defense} · {attack}"
