"""`kl`: the discriminator replaced by the KL divergence; do its loss and cross-entropy converge together?

Source: supplement D.2, "the KL loss and classification loss cannot converge together during the training".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.metrics.over_seeds import estimate_mean, estimate_rate
from bench.paper.artifacts.kl_picture import Trace, draw_losses
from bench.paper.comparison import decimal, percent
from bench.paper.contract import ArtifactEntry, Column, Made, PaperTable, Row, Wanted, plain_row
from bench.paper.desk import Desk
from bench.paper.failures import failures_of
from bench.record import Record

WEIGHTS = (0.01, 0.1, 1.0)
SETTLED_WITHIN = 0.1  # of a loss's own way from its first epoch to its lowest
LAST_SHARE = 4  # the last quarter of the epochs is looked at
LOSSES = ("cross_entropy", "penalty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One way to train. label: for readers; options: of the runs; records: one a seed."""

    label: str
    options: Mapping[str, Any]
    records: tuple[Record, ...]

    @property
    def is_kl(self) -> bool:
        """Whether its penalty is the KL divergence, in nats; the discriminator's is no divergence."""
        return self.options.get("regularizer") == "kl"

    def losses(self, name: str) -> list[list[float]]:
        """By seed, one loss epoch by epoch; of seeds that kept no epochs, none."""
        return [_losses(record, name) for record in self.records if record.training]

    def converging(self, *names: str) -> list[bool]:
        """By seed, whether all these losses converge, which those of a training that diverged do not."""
        return [
            bool(record.training) and all(converges(_losses(record, name)) for name in names)
            for record in self.records
            if record.status != "error"
        ]


def _losses(record: Record, name: str) -> list[float]:
    return [epoch["losses"][name] for epoch in record.training]


def converges(losses: Sequence[float]) -> bool:
    """Whether a loss has fallen and stayed down.

    It ends below its first epoch, and in the last quarter of the epochs it never climbs more than a tenth of its way
    down above its lowest value.

    Args:
        losses: epoch by epoch, at least two; in nats.
    """
    first, lowest = losses[0], min(losses)
    tail = losses[-max(2, len(losses) // LAST_SHARE) :]
    return losses[-1] < first and max(tail) <= lowest + SETTLED_WITHIN * (first - lowest)


def _ways(desk: Desk) -> dict[str, Wanted]:
    """The trainings by label, each as a cell with a cheap attack."""
    ways: dict[str, Wanted] = {"none (E-CLA)": {"defense": "e-cla"}, "discriminator": {"defense": "er-classifier"}}
    for weight in desk.request.options.get("weights") or WEIGHTS:
        kl = {"defense": "er-classifier", "regularizer": "kl", "regularizer_weight": weight}
        ways[f"KL, λ₁ {weight:g}"] = kl
    return {label: {**options, "attack": "fgsm"} for label, options in ways.items()}


def _runs(desk: Desk) -> list[Wanted]:
    return desk.over_seeds(list(_ways(desk).values()))


def _make(desk: Desk) -> Made:
    ways = _ways(desk)
    groups = desk.repeated(list(ways.values()))
    trainings = [
        Training(label=label, options=options, records=records)
        for (label, options), records in zip(ways.items(), groups, strict=True)
    ]
    n_train = groups[0][0].spec["classifier"]["n_train"]
    columns = [Column(title="Regularizer")]
    columns += [Column(title=when, groups=("cross-entropy (nats)",)) for when in ("first epoch", "last")]
    columns += [Column(title=when, groups=("KL (nats)",)) for when in ("first epoch", "last")]
    columns += [Column(title=title) for title in ("converge together", "clean accuracy", "MMD² to prior")]
    return Made(
        title="KL divergence in place of the discriminator: losses while training",
        table=PaperTable(columns=tuple(columns), blocks=(tuple(_row(training) for training in trainings),)),
        data=tuple(row for training in trainings for row in _data(training)),
        findings=_findings(trainings),
        counted=f"n {n_train} training images, {len(desk.dataset.test)} test images",
        legend=(
            "A loss converges when it ends below its first epoch and stays within a tenth of its way down above its "
            "lowest value in the last quarter of the epochs; seeds where both do, of all"
        ),
        keys=tuple(record.run_id for records in groups for record in records),
        figure=draw_losses([_trace(training) for training in trainings]),
    )


def _row(training: Training) -> Row:
    def ends(name: str) -> tuple[str, str]:
        curves = training.losses(name)
        return tuple(decimal(estimate_mean([losses[place] for losses in curves]), 3) for place in (0, -1))  # type: ignore[return-value]  # two

    agreed = training.converging(*LOSSES) if training.is_kl else []
    embedding = [record.metrics.get("embedding", {}).get("squared_mmd") for record in training.records]
    return plain_row(
        training.label,
        *ends("cross_entropy"),
        *(ends("penalty") if training.is_kl else ("–", "–")),
        f"{sum(agreed)} of {len(agreed)}" if training.is_kl else "–",
        percent(estimate_rate([record.rate("clean_accuracy") for record in training.records])),
        decimal(estimate_mean(embedding), 3),
    )


def _data(training: Training) -> list[dict[str, Any]]:
    return [
        {"regularizer": training.label, "seed": record.spec["seed"], "epoch": epoch["epoch"], "status": record.status}
        | epoch["losses"]
        | {"training_accuracy": epoch["accuracy"], "run": record.run_id}
        for record in training.records
        for epoch in record.training
    ]


def _findings(trainings: Sequence[Training]) -> tuple[str, ...]:
    agreed = {training.label: training.converging(*LOSSES) for training in trainings if training.is_kl}
    told = ", ".join(f"{label}: {sum(values)} of {len(values)} seeds" for label, values in agreed.items())
    together = [each for values in agreed.values() for each in values]
    without = [each for training in trainings if not training.is_kl for each in training.converging(LOSSES[0])]
    return (
        f"both losses converge together with {told}",
        "the paper says that the KL loss and the classification loss cannot converge together: "
        f"{_verdict(together, without)}",
        *failures_of((training.label, record) for training in trainings for record in training.records),
    )


def _verdict(together: Sequence[bool], without: Sequence[bool]) -> str:
    """What becomes of the paper's sentence.

    Args:
        together: of every training with KL, whether both losses converge.
        without: of every training without it, whether cross-entropy does.
    """
    if any(together):
        return "refuted here" if all(together) else "confirmed at some weights or seeds here, not at others"
    if not together:
        return "not to be told here, where no training with KL ended"
    if not any(without):
        return "not to be told here, where cross-entropy does not converge without KL either; try more --epochs"
    return "confirmed here"


def _trace(training: Training) -> Trace:
    return Trace(
        label=training.label,
        cross_entropy=tuple(map(tuple, training.losses("cross_entropy"))),
        divergence=tuple(map(tuple, training.losses("penalty"))) if training.is_kl else (),
    )


KL = ArtifactEntry(
    name="kl",
    summary="the discriminator replaced by the KL divergence: do both losses converge together?",
    source="supplement D.2",
    families=frozenset({"digits", "mnist", "cifar10", "stl10", "tiny-imagenet"}),
    options=frozenset({"weights"}),
    runs=_runs,
    make=_make,
)
