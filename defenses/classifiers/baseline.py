"""The baseline network, trained plainly (`standard`) or against PGD (`madry`).

Sources: [S] supplement Table 7 (networks) and Table 1 (adversarial training); Madry et al. 2018, arXiv:1706.06083.
"""

from dataclasses import replace

from defenses.contract import BuildRequest, Classifier, ClassifierEntry
from defenses.networks.registry import build_baseline
from defenses.training.classification import train_by_cross_entropy
from defenses.training.contract import TrainingConfig
from defenses.training.recipes import recipe_for

_OPTIONS = frozenset({"epochs", "train_learning_rate"})


def _build(family: str, classes: int, _config: TrainingConfig, seed: int) -> Classifier:
    return build_baseline(family, classes=classes, seed=seed)


def _configure_standard(request: BuildRequest) -> TrainingConfig:
    recipe = recipe_for(request.recipe, request.family)
    return TrainingConfig(
        epochs=request.options.get("epochs", recipe.baseline_epochs),
        batch_size=recipe.batch_size,
        learning_rate=request.options.get("train_learning_rate", recipe.baseline_learning_rate),
        schedule=recipe.schedule,
    )


def _configure_madry(request: BuildRequest) -> TrainingConfig:
    recipe = recipe_for(request.recipe, request.family)
    return replace(
        _configure_standard(request),
        epochs=request.options.get("epochs", recipe.adversarial_epochs),
        adversarial=recipe.adversary_at(request.options.get("train_epsilon")),
    )


STANDARD = ClassifierEntry(
    name="standard",
    summary="the baseline network, plain training",
    source="supplement Table 7",
    options=_OPTIONS,
    configure=_configure_standard,
    build=_build,
    train=train_by_cross_entropy,
)

MADRY = ClassifierEntry(
    name="madry",
    summary="the baseline network, trained on PGD examples",
    source="Madry et al. 2018, arXiv:1706.06083; supplement Table 1",
    options=_OPTIONS | {"train_epsilon"},
    configure=_configure_madry,
    build=_build,
    train=train_by_cross_entropy,
)
