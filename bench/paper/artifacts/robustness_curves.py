"""Figures 1 to 3: accuracy under PGD, by embedding dimension, by training epsilon, by prior.

Source: supplement C.2 to C.4. The paper draws its numbers and prints none, so ours stand alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.metrics.over_seeds import estimate_rate
from bench.paper.artifacts.curves_picture import Curve, draw_curves
from bench.paper.comparison import estimated, percent
from bench.paper.contract import ArtifactEntry, Column, Made, PaperTable, Wanted, plain_row
from bench.paper.desk import Desk
from bench.paper.failures import failures_of
from bench.record import Record
from defenses.networks.registry import FAMILIES
from defenses.priors import PRIORS
from defenses.training.recipes import recipe_for

IMAGES = 200  # attacked, where nobody asks for another number
# Shares of supplement Table 1's epsilon. Without min-max training nothing is left to see beyond the smaller ones.
PLAIN_BUDGETS = (1 / 15, 2 / 15, 1 / 5, 4 / 15, 1 / 3)
MIN_MAX_BUDGETS = (1 / 15, 1 / 3, 1 / 2, 2 / 3, 1.0)
TRAIN_BUDGETS = (1 / 3, 2 / 3, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One line of a figure. label: for its legend; options: of the runs."""

    label: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What one of the figures compares.

    name, title: of the figure; axis: what tells its variants apart; variants_of: desk -> them.
    shares: of the dataset's epsilon, the budgets of the attack.
    """

    name: str
    title: str
    axis: str
    variants_of: Callable[[Desk], Sequence[Variant]]
    shares: Sequence[float] = PLAIN_BUDGETS

    def budgets(self, desk: Desk) -> tuple[float, ...]:
        """The epsilons of the attack."""
        return tuple(desk.request.options.get("epsilons") or _scaled(desk, self.shares))

    def cells(self, desk: Desk) -> list[Wanted]:
        """Every variant under every budget."""
        return [
            {"n_test": _images(desk), **variant.options, "attack": "pgd", "epsilon": budget}
            for variant in self.variants_of(desk)
            for budget in self.budgets(desk)
        ]


def _images(desk: Desk) -> int:
    return int(desk.request.settings.get("n_test", min(IMAGES, len(desk.dataset.test))))


def _runs(compared: Compared, desk: Desk) -> list[Wanted]:
    return desk.over_seeds(compared.cells(desk))


def _make(compared: Compared, desk: Desk) -> Made:
    budgets, variants, axis = compared.budgets(desk), compared.variants_of(desk), compared.axis
    groups = desk.repeated(compared.cells(desk))
    by_variant = [groups[start : start + len(budgets)] for start in range(0, len(groups), len(budgets))]
    curves = [_curve(variant, budgets, own) for variant, own in zip(variants, by_variant, strict=True)]
    data = tuple(
        row
        for curve, variant, own in zip(curves, variants, by_variant, strict=True)
        for row in _data(compared.name, curve, variant, own)
    )
    labelled = [
        (variant.label, record)
        for variant, own in zip(variants, by_variant, strict=True)
        for group in own
        for record in group
    ]
    return Made(
        title=compared.title,
        table=_table(axis, budgets, curves),
        data=data,
        findings=(*_findings(axis, curves), *failures_of(labelled)),
        counted=f"n {_images(desk)} images a seed, clean: all test images; PGD untargeted at the dataset's steps",
        legend=f"Accuracy in percent: {estimated(len(desk.request.seeds))}; ε in pixel units",
        keys=tuple(record.run_id for _, record in labelled),
        figure=draw_curves(curves, title=compared.title, legend_title=axis),
    )


def _scaled(desk: Desk, shares: Sequence[float]) -> tuple[float, ...]:
    """Shares of the epsilon that supplement Table 1 gives the dataset, to three digits."""
    epsilon = recipe_for(desk.request.recipe, desk.dataset.family).adversary.epsilon
    return tuple(float(f"{share * epsilon:.3g}") for share in shares)


def _curve(variant: Variant, budgets: Sequence[float], groups: Sequence[Sequence[Record]]) -> Curve:
    """One line; where some seeds gave no numbers its label says how many did."""
    clean = estimate_rate([record.rate("clean_accuracy") for record in groups[0]])
    robust = [estimate_rate([record.rate("robust_accuracy") for record in group]) for group in groups]
    seeds, asked = min(estimate.seeds for estimate in (clean, *robust)), len(groups[0])
    label = f"{variant.label} ({seeds} of {asked} seeds)" if 0 < seeds < asked else variant.label
    return Curve(label=label, epsilons=(0.0, *budgets), accuracies=(clean, *robust))


def _table(axis: str, budgets: Sequence[float], curves: Sequence[Curve]) -> PaperTable:
    columns = [Column(title=axis), Column(title="clean")]
    columns += [Column(title=f"ε {budget:g}", groups=("under PGD",)) for budget in budgets]
    rows = tuple(plain_row(curve.label, *(percent(accuracy) for accuracy in curve.accuracies)) for curve in curves)
    return PaperTable(columns=tuple(columns), blocks=(rows,))


def _data(name: str, curve: Curve, variant: Variant, groups: Sequence[Sequence[Record]]) -> list[dict[str, Any]]:
    """A datum a budget. groups: the runs of each budget above 0; clean images are those of the first."""
    return [
        {
            "artifact": name,
            "variant": variant.label,
            "defense": variant.options["defense"],
            "epsilon": epsilon,
            "accuracy": accuracy.value,
            "low": accuracy.low,
            "high": accuracy.high,
            "n": accuracy.n,
            "seeds": accuracy.seeds,
            "runs": " ".join(record.run_id for record in runs),
        }
        for epsilon, accuracy, runs in zip(curve.epsilons, curve.accuracies, (groups[0], *groups), strict=True)
    ]


def _findings(axis: str, curves: Sequence[Curve]) -> tuple[str, ...]:
    """Which variant stands best, by the mean over all budgets, and whether the intervals tell it from the next."""
    means = {curve.label: curve.mean_under_attack for curve in curves}
    ranked = sorted(curves, key=lambda curve: (means[curve.label] is None, -(means[curve.label] or 0)))
    shown = ", ".join(f"{curve.label}: {_in_percent(means[curve.label])}" for curve in ranked)
    best, *others = ranked
    apart = [other.label for other in others if _is_apart(best, other)]
    told = f"at some budget from {', '.join(apart)}" if apart else "from none of the others"
    return (f"mean accuracy over the budgets, by {axis}: {shown}; {best.label} is told apart {told}",)


def _in_percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"


def _is_apart(best: Curve, other: Curve) -> bool:
    pairs = zip(best.accuracies[1:], other.accuracies[1:], strict=True)
    return any(one.lies_above(two) for one, two in pairs)


def _dimensions(desk: Desk) -> list[Variant]:
    family = FAMILIES.get(desk.dataset.family)
    final, intrinsic = family.embedding_dim, family.intrinsic_dim
    dims = desk.request.options.get("dims") or tuple(sorted({max(1, final // 2), final, intrinsic, 2 * intrinsic}))
    return [Variant(label=str(dim), options={"defense": "er-classifier", "embedding_dim": dim}) for dim in dims]


def _training_budgets(desk: Desk) -> list[Variant]:
    budgets = desk.request.options.get("train_epsilons") or _scaled(desk, TRAIN_BUDGETS)
    plain = Variant(label="none", options={"defense": "standard"})
    return [plain] + [
        Variant(label=f"{budget:g}", options={"defense": "madry", "train_epsilon": budget}) for budget in budgets
    ]


def _priors(desk: Desk) -> list[Variant]:
    del desk
    return [Variant(label=prior, options={"defense": "er-classifier", "prior": prior}) for prior in PRIORS]


def _entry(compared: Compared, summary: str, where: str, families: set[str], options: set[str]) -> ArtifactEntry:
    return ArtifactEntry(
        name=compared.name,
        summary=summary,
        source=f"supplement {where}, Figure {compared.name.removeprefix('figure')}",
        families=frozenset(families),
        options=frozenset({"epsilons", *options}),
        runs=partial(_runs, compared),
        make=partial(_make, compared),
    )


FIGURE1 = _entry(
    Compared(
        name="figure1",
        title="ER-Classifiers of several embedding dimensions under PGD",
        axis="dimension",
        variants_of=_dimensions,
    ),
    "accuracy of the ER-Classifier under PGD by embedding dimension",
    "C.2",
    {"digits", "mnist", "cifar10", "stl10", "tiny-imagenet"},
    {"dims"},
)
FIGURE2 = _entry(
    Compared(
        name="figure2",
        title="Networks adversarially trained with several ε, under PGD",
        axis="training ε",
        variants_of=_training_budgets,
        shares=MIN_MAX_BUDGETS,
    ),
    "accuracy of Madry's adversarial training under PGD by training epsilon",
    "C.3",
    {"digits", "mnist", "cifar10", "stl10"},
    {"train_epsilons"},
)
FIGURE3 = _entry(
    Compared(name="figure3", title="ER-Classifiers with several priors under PGD", axis="prior", variants_of=_priors),
    "accuracy of the ER-Classifier under PGD by prior",
    "C.4",
    {"digits", "mnist", "cifar10"},
    set(),
)
