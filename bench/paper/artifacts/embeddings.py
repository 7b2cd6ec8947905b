"""Figures 5 and 6: two-dimensional embeddings of E-CLA and the ER-Classifier, of clean and of adversarial images.

Source: supplement F, Figures 5 (MNIST) and 6 (CIFAR-10). [D] The paper does not say how its embeddings become
two-dimensional: both networks are trained with an embedding of two dimensions, so that nothing is projected away.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attacks.errors import DataError, NotConvergedError
from bench.inference import logits_of_all
from bench.metrics.rates import Rate
from bench.paper.artifacts.embeddings_findings import findings_of
from bench.paper.artifacts.embeddings_picture import Cloud, draw_embeddings
from bench.paper.contract import ArtifactEntry, Column, Made, PaperTable, Row, Wanted, plain_row
from bench.paper.desk import Desk
from bench.paper.studies.clusters import PRIOR_RADIUS, Clusters, clusters_of
from bench.record import Record
from bench.verification.stored_studio import require_item
from defenses.contract import Classifier
from defenses.detectors.kernel_density import represent_all

DEFENSES_COMPARED = ("e-cla", "er-classifier")
DIMENSIONS = 2
IMAGES = 500  # attacked, where nobody asks for another number; more dots hide each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """One network's embeddings.

    record: of its run; prior: drawn to it, empty where there is none.
    sample_ids, labels: (n,) int64, which test images they are and of which class.
    clean, adversarial: (n, 2) float32 on the CPU; clean_predictions, adversarial_predictions: (n,) int64.
    """

    defense: str
    record: Record
    prior: str
    sample_ids: Tensor
    labels: Tensor
    clean: Tensor
    adversarial: Tensor
    clean_predictions: Tensor
    adversarial_predictions: Tensor

    @property
    def clusters(self) -> Clusters:
        """How the classes lie, and how far the attack moves their images."""
        return clusters_of(self.clean, self.adversarial, self.labels)


def _images(desk: Desk) -> int:
    return int(desk.request.settings.get("n_test", min(IMAGES, len(desk.dataset.test))))


def _runs(desk: Desk) -> list[Wanted]:
    run = {"attack": "pgd", "until": "end", "embedding_dim": DIMENSIONS}
    run |= {"n_test": _images(desk), "seed": desk.request.seeds[0]}
    return [{"defense": defense} | run for defense in DEFENSES_COMPARED]


def _make(name: str, desk: Desk) -> Made:
    records = desk.records(_runs(desk))
    both = [_embedded(desk, defense, record) for defense, record in zip(DEFENSES_COMPARED, records, strict=True)]
    return Made(
        title="Two-dimensional embeddings of clean and of adversarial test images",
        table=PaperTable(columns=_COLUMNS, blocks=(tuple(map(_row, both)),)),
        data=tuple(row for each in both for row in _data(name, each)),
        findings=(*findings_of(*((each.record, each.clusters) for each in both)), *_same_elsewhere(desk)),
        counted=(
            f"n {_images(desk)} test images, and the same under PGD; embedding dim {DIMENSIONS}; "
            f"seed {desk.request.seeds[0]}"
        ),
        legend=(
            "Accuracy in percent with 95 % interval; MMD² is the squared distance of the embedding to the prior; moved "
            "is how far the attack moves an image in the embedding, on average; spread is the root mean square "
            "distance of clean images to their class's center, over the mean distance between centers; the circle "
            "holds 95 % of N(0, 1) in two dimensions"
        ),
        keys=tuple(record.run_id for record in records),
        figure=draw_embeddings([_cloud(each) for each in both], desk.dataset.class_names),
    )


def _same_elsewhere(desk: Desk) -> tuple[str, ...]:
    both = "Figures 5 and 6 are one on the digits; the paper draws the first on MNIST, the second on CIFAR-10"
    return (both,) if desk.dataset.family == "digits" else ()


def _embedded(desk: Desk, defense: str, record: Record) -> Embedded:
    """Read a run's adversarial images and embed them and the clean ones.

    Raises:
        NotConvergedError: the network's training gave none.
        DataError: the run failed, or its images are gone from the store.
    """
    if record.status == "not-converged":
        raise NotConvergedError(record.message)
    if record.status != "done":
        raise DataError(f"{record.label} failed ({record.message.strip().splitlines()[-1]}); {record.command}")
    device = desk.workspace.device
    items = [require_item(desk.workspace.store, "crafted", key) for key in record.stored["test"]]
    sample_ids = torch.tensor([sample_id for item in items for sample_id in item.spec["sample_ids"]])
    adversarial = torch.cat([item.tensors["images"] for item in items]).to(device)
    clean = desk.dataset.test.images(sample_ids).to(device)
    network = desk.classifier(defense, desk.request.seeds[0], embedding_dim=DIMENSIONS).network
    embed, predict = partial(represent_all, Classifier.embedding, network), partial(logits_of_all, network)
    return Embedded(
        defense=defense,
        record=record,
        prior=_prior(record),
        sample_ids=sample_ids,
        labels=desk.dataset.test.labels[sample_ids],
        clean=embed(clean).cpu(),
        adversarial=embed(adversarial).cpu(),
        clean_predictions=predict(clean).argmax(dim=1).cpu(),
        adversarial_predictions=predict(adversarial).argmax(dim=1).cpu(),
    )


def _prior(record: Record) -> str:
    config = record.spec["classifier"]["config"]
    return str(config["prior"]) if config["regularizer"] != "none" else ""


def _cloud(each: Embedded) -> Cloud:
    return Cloud(
        defense=each.defense,
        clean=each.clean.numpy(),
        adversarial=each.adversarial.numpy(),
        labels=each.labels.numpy(),
        centers=each.clusters.centers.numpy(),
        circle=PRIOR_RADIUS if each.prior == "gaussian" else None,
    )


_COLUMNS = (
    Column(title="Network"),
    Column(title="clean", groups=("Accuracy",)),
    Column(title="under PGD", groups=("Accuracy",)),
    Column(title="MMD² to the prior"),
    Column(title="Moved by PGD"),
    Column(title="Spread / centers"),
    Column(title="clean", groups=("Within the circle (%)",)),
    Column(title="adversarial", groups=("Within the circle (%)",)),
)


def _row(each: Embedded) -> Row:
    clusters = each.clusters
    return plain_row(
        each.defense,
        _percent(each.record.rate("clean_accuracy")),
        _percent(each.record.rate("robust_accuracy")),
        f"{each.record.metrics['embedding']['squared_mmd']:.3f}",
        f"{clusters.moved:.2f}",
        f"{clusters.in_centers(clusters.spread):.2f}",
        f"{100 * clusters.clean_within:.1f}",
        f"{100 * clusters.adversarial_within:.1f}",
    )


def _percent(rate: Rate | None) -> str:
    if rate is None or rate.value is None or rate.low is None or rate.high is None:
        return "n/a"
    return f"{100 * rate.value:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _data(name: str, each: Embedded) -> list[dict[str, Any]]:
    kinds = {
        "clean": (each.clean, each.clean_predictions),
        "adversarial": (each.adversarial, each.adversarial_predictions),
    }
    return [
        {
            "artifact": name,
            "defense": each.defense,
            "kind": kind,
            "sample_id": sample_id,
            "label": label,
            "prediction": prediction,
            "x": x,
            "y": y,
        }
        for kind, (points, predictions) in kinds.items()
        for sample_id, label, prediction, (x, y) in zip(
            each.sample_ids.tolist(), each.labels.tolist(), predictions.tolist(), points.tolist(), strict=True
        )
    ]


def _entry(name: str, families: frozenset[str], where: str) -> ArtifactEntry:
    return ArtifactEntry(
        name=name,
        summary=f"embeddings of E-CLA and ER-Classifier in two dimensions, clean and under PGD; {where} in the paper",
        source=f"supplement F, Figure {name.removeprefix('figure')}",
        families=families,
        has_seeds=False,
        runs=_runs,
        make=partial(_make, name),
    )


FIGURE5 = _entry("figure5", frozenset({"mnist", "digits"}), "MNIST")
FIGURE6 = _entry("figure6", frozenset({"cifar10", "digits"}), "CIFAR-10")
