"""Figure 4: the loss around test images, of two or more classifiers side by side.

Source: supplement E and Figure 4, which shows one image of CIFAR-10 and says that both surfaces are smooth. What is
computed and why: `bench.paper.studies.loss_surface`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attacks.draws import Draws
from attacks.errors import RequestError
from bench.fitting import FittedClassifier
from bench.inference import BATCH, logits_of_all
from bench.paper.artifacts.figure4_findings import findings_of
from bench.paper.artifacts.figure4_picture import Panel, draw_surfaces
from bench.paper.artifacts.figure4_settings import Settings, settings_of
from bench.paper.contract import ArtifactEntry, Column, Made, PaperTable, Row, Wanted, plain_row
from bench.paper.desk import Desk
from bench.paper.studies.loss_surface import loss_surfaces, planes_through, steps_of
from bench.paper.studies.surface_shape import SurfaceShape, shape_of
from bench.storage.store import Item
from defenses.networks.registry import FAMILIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A classifier's surfaces.

    first, mean: (grid, grid) float64, of one image and over all, with their shapes.
    masked: number of images whose loss rises farther across than along the gradient's sign.
    """

    defense: str
    item: Item
    first: Tensor
    mean: Tensor
    first_shape: SurfaceShape
    mean_shape: SurfaceShape
    masked: int


def _runs(desk: Desk) -> list[Wanted]:
    settings_of(desk)  # raises for options out of range before anything runs
    return []


def _make(desk: Desk) -> Made:
    settings = settings_of(desk)
    seed, steps = desk.request.seeds[0], steps_of(settings.grid, settings.range)
    fitted = desk.classifiers(settings.defenses, seed)
    sample_ids = _images_all_get_right(desk, fitted, settings)
    measured = [
        _measured(defense, _study(desk, each, sample_ids, settings), steps)
        for defense, each in zip(settings.defenses, fitted, strict=True)
    ]
    number, test = int(sample_ids[0]), desk.dataset.test
    first = f"test image {number} ({desk.dataset.class_names[int(test.labels[number])]})"
    rows = [(first, "first"), (f"mean of {len(sample_ids)}", "mean")]
    return Made(
        title="Loss surfaces along the sign of the input gradient and along random signs",
        table=PaperTable(columns=_COLUMNS, blocks=tuple(_block(name, kind, measured) for name, kind in rows)),
        data=tuple(_data(measured, steps)),
        findings=findings_of(
            [(each.defense, each.mean_shape, each.masked, each.item.details) for each in measured],
            len(sample_ids),
            settings.grid,
            len(desk.dataset.class_names),
        ),
        counted=(
            f"n {len(sample_ids)} test images that every classifier gets right, {settings.grid} x {settings.grid} "
            f"points within ±{settings.range:g} each; seed {seed}"
        ),
        legend=(
            "Losses in nats: at the image, at the last step along the sign of the gradient, at the last steps both "
            "ways (corner), and the largest; bends are second differences between neighbors as shares of the span; "
            "above linear are the points whose loss a linear extrapolation underestimates; across / along is how far "
            "the loss rises each way. Points are not clipped to [0, 1]"
        ),
        keys=tuple(desk.study_key(each.item) for each in measured),
        figure=draw_surfaces(
            [
                (name, [Panel(defense=each.defense, losses=getattr(each, kind).numpy()) for each in measured])
                for name, kind in rows
            ],
            steps.double().numpy(),
        ),
    )


def _images_all_get_right(desk: Desk, fitted: Sequence[FittedClassifier], settings: Settings) -> Tensor:
    """(images,) int64 indices of the first test images that every classifier gets right."""
    test, found = desk.dataset.test, torch.zeros(0, dtype=torch.int64)
    for part in torch.arange(len(test)).split(BATCH):
        images = test.images(part).to(desk.workspace.device)
        predictions = torch.stack([logits_of_all(each.classifier, images).argmax(dim=1).cpu() for each in fitted])
        are_right = (predictions == test.labels[part]).all(dim=0)
        found = torch.cat([found, part[are_right]])[: settings.images]
        if len(found) == settings.images:
            return found
    raise RequestError(
        f"--images {settings.images}: only {len(found)} test images of {desk.dataset.name} are right with "
        f"{' and '.join(settings.defenses)}; ask for fewer"
    )


def _study(desk: Desk, fitted: FittedClassifier, sample_ids: Tensor, settings: Settings) -> Item:
    seed, dataset, workspace = desk.request.seeds[0], desk.dataset, desk.workspace

    def compute() -> tuple[dict[str, Tensor], dict[str, Any]]:
        title = f"loss surfaces, {settings.grid} x {settings.grid} points around {len(sample_ids)} images"
        images, labels = dataset.test.images(sample_ids).to(workspace.device), dataset.test.labels[sample_ids]
        draws = Draws(seed=seed, sample_ids=sample_ids)
        with workspace.progress.task(title, len(sample_ids)) as task:
            planes = planes_through(fitted.classifier, images, labels, draws)
            steps = steps_of(settings.grid, settings.range)
            surfaces = loss_surfaces(fitted.classifier, planes, steps, precision=settings.precision, task=task)
        slopes = torch.tensor([(each.center, each.slope_along, each.slope_across) for each in planes])
        tensors = {"losses": surfaces.losses, "first": surfaces.first, "slopes": slopes.to(torch.float64)}
        names = ("precision", "deviation", "checked")
        return tensors, {name: getattr(surfaces, name) for name in names}

    identity = {
        "classifier": fitted.key,
        "dataset": dataset.digest,
        "sample_ids": sample_ids.tolist(),
        "grid": settings.grid,
        "range": settings.range,
        "precision": settings.precision,
        "seed": seed,
    }
    return desk.study("loss-surface", identity, loss_surfaces, compute)


def _measured(defense: str, item: Item, steps: Tensor) -> Measured:
    losses, first, slopes = (item.tensors[name] for name in ("losses", "first", "slopes"))
    mean = losses.mean(dim=0, dtype=torch.float64)
    ratios = [shape_of(each, steps, *slope).rise_ratio for each, slope in zip(losses, slopes.tolist(), strict=True)]
    return Measured(
        defense=defense,
        item=item,
        first=first.to(torch.float64),
        mean=mean,
        first_shape=shape_of(first, steps, *slopes[0].tolist()),
        mean_shape=shape_of(mean, steps, *slopes.mean(dim=0).tolist()),
        masked=sum(ratio is None or ratio > 1 for ratio in ratios),
    )


_COLUMNS = (
    Column(title="Surface"),
    Column(title="Classifier"),
    Column(title="image", groups=("Loss",)),
    Column(title="sign", groups=("Loss",)),
    Column(title="corner", groups=("Loss",)),
    Column(title="largest", groups=("Loss",)),
    Column(title="mean (%)", groups=("Bends",)),
    Column(title="largest (%)", groups=("Bends",)),
    Column(title="Above linear (%)"),
    Column(title="Across / along"),
)


def _block(name: str, kind: str, measured: Sequence[Measured]) -> tuple[Row, ...]:
    return tuple(_row(name, each.defense, getattr(each, f"{kind}_shape")) for each in measured)


def _row(name: str, defense: str, shape: SurfaceShape) -> Row:
    losses = [f"{loss:.3g}" for loss in (shape.center, shape.end, shape.corner, shape.largest)]
    bends = ["–" if bend is None else f"{100 * bend:.2f}" for bend in (shape.roughness, shape.sharpest_bend)]
    ratio = "–" if shape.rise_ratio is None else f"{shape.rise_ratio:.2f}"
    return plain_row(name, defense, *losses, *bends, f"{100 * shape.above_linear:.0f}", ratio)


def _data(measured: Sequence[Measured], steps: Tensor) -> list[dict[str, Any]]:
    places = steps.tolist()
    rows = []
    for each in measured:
        pairs = zip(each.first.flatten().tolist(), each.mean.flatten().tolist(), strict=True)
        for number, (first, mean) in enumerate(pairs):
            a, b = places[number // len(places)], places[number % len(places)]
            rows.append({"defense": each.defense, "a": a, "b": b, "loss_first": first, "loss_mean": mean})
    return rows


FIGURE4 = ArtifactEntry(
    name="figure4",
    summary="loss surfaces side by side, along the gradient's sign and along random signs",
    source="supplement E, Figure 4; Engstrom et al. 2018, arXiv:1807.10272",
    families=frozenset(FAMILIES.names()),
    options=frozenset({"defenses", "grid", "range", "images", "precision"}),
    has_seeds=False,
    runs=_runs,
    make=_make,
)
