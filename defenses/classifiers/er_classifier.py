"""The ER-Classifier, its min-max variant, and E-CLA, the same network without regularization.

Sources: [S] supplement A, D.2, F and Table 8; [A] the author's training code.
"""

from dataclasses import replace

from defenses.contract import BuildRequest, Classifier, ClassifierEntry
from defenses.networks.registry import FAMILIES, build_er_network
from defenses.training.embedding_regularized import EmbeddingConfig, train_embedding_regularized
from defenses.training.recipes import recipe_for

_E_CLA_OPTIONS = frozenset({"epochs", "embedding_dim", "encoder_init", "head_rate", "train_learning_rate"})
_ER_OPTIONS = _E_CLA_OPTIONS | {"prior", "regularizer", "regularizer_weight"}


def _build(family: str, classes: int, config: EmbeddingConfig, seed: int) -> Classifier:
    return build_er_network(
        family,
        classes=classes,
        embedding_dim=config.embedding_dim,
        seed=seed,
        encoder_init=config.encoder_init,
    )


def _configure(request: BuildRequest) -> EmbeddingConfig:
    recipe = recipe_for(request.recipe, request.family)
    config = EmbeddingConfig(
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        embedding_dim=FAMILIES.get(request.family).embedding_dim,
        regularizer_weight=recipe.regularizer_weight,
        separate_steps=recipe.separate_steps,
        head_rate=recipe.head_rate,
        schedule=recipe.schedule,
    )
    names = {"train_learning_rate": "learning_rate"}  # plain `learning_rate` is an attack's
    return replace(config, **{names.get(name, name): value for name, value in request.options.items()})


def _configure_adversarial(request: BuildRequest) -> EmbeddingConfig:
    recipe = recipe_for(request.recipe, request.family)
    options = {"epochs": recipe.adversarial_epochs} | dict(request.options)
    adversary = recipe.adversary_at(options.pop("train_epsilon", None))
    return replace(_configure(replace(request, options=options)), adversarial=adversary)


def _configure_e_cla(request: BuildRequest) -> EmbeddingConfig:
    return without_regularizer(_configure(request))


def without_regularizer(config: EmbeddingConfig) -> EmbeddingConfig:
    """The same training with the embedding left to itself; what E-CLA is to an ER-Classifier."""
    return replace(config, regularizer="none", regularizer_weight=0.0, prior="gaussian", separate_steps=False)


ER_CLASSIFIER = ClassifierEntry(
    name="er-classifier",
    summary="encoder and classifier, embedding drawn to a prior by a discriminator",
    source="supplement A and Table 8",
    options=_ER_OPTIONS,
    configure=_configure,
    build=_build,
    train=train_embedding_regularized,
)

ER_CLASSIFIER_AT = ClassifierEntry(
    name="er-classifier-at",
    summary="the ER-Classifier with min-max training",
    source="supplement A, Tables 1 and 8",
    options=_ER_OPTIONS | {"train_epsilon"},
    configure=_configure_adversarial,
    build=_build,
    train=train_embedding_regularized,
)

E_CLA = ClassifierEntry(
    name="e-cla",
    summary="the ER-Classifier's network without regularization",
    source="supplement D.2 and F",
    options=_E_CLA_OPTIONS,
    configure=_configure_e_cla,
    build=_build,
    train=train_embedding_regularized,
)
