"""The paper's recipe, figure by figure.

Sources: the supplement's Table 1 (epsilon and iterations of adversarial training); the author's training code
(step sizes, learning rates, lambda_1, batch sizes, 30 or 60 epochs plain and 20 with min-max training).
"""

from typing import Any

import pytest

from attacks.errors import RequestError
from defenses.networks.registry import FAMILIES
from defenses.training.recipes import RECIPES, recipe_for

TABLE_1 = {"mnist": (0.3, 40), "cifar10": (0.03, 20), "stl10": (0.03, 20), "tiny-imagenet": (0.01, 10)}
STEP_SIZES = {"mnist": 0.01, "cifar10": 0.01, "stl10": 0.0078}
AUTHORS_CODE: dict[str, dict[str, Any]] = {
    "mnist": {"learning_rate": 1e-4, "regularizer_weight": 5e-4, "batch_size": 100, "epochs": 60},
    "cifar10": {"learning_rate": 5e-5, "regularizer_weight": 0.1, "batch_size": 100, "epochs": 30},
    "stl10": {"learning_rate": 5e-5, "regularizer_weight": 0.1, "batch_size": 64, "epochs": 30},
}


@pytest.mark.parametrize("family", TABLE_1)
def test_adversarial_training_follows_table_1(family: str) -> None:
    adversary = recipe_for("paper", family).adversary
    assert (adversary.epsilon, adversary.steps) == TABLE_1[family]
    assert adversary.step_size == STEP_SIZES.get(family, adversary.step_size)
    assert adversary.steps * adversary.step_size > adversary.epsilon  # the wall is within reach
    assert recipe_for("quick", family).adversary.epsilon == TABLE_1[family][0]


@pytest.mark.parametrize("family", AUTHORS_CODE)
def test_training_follows_the_authors_code(family: str) -> None:
    recipe = recipe_for("paper", family)
    assert {name: getattr(recipe, name) for name in AUTHORS_CODE[family]} == AUTHORS_CODE[family]


@pytest.mark.parametrize("family", TABLE_1)
def test_min_max_training_steps_and_rates(family: str) -> None:
    recipe = recipe_for("paper", family)
    assert recipe.adversarial_epochs == 20
    assert recipe.separate_steps is True
    assert recipe.head_rate == 1 / 20
    assert recipe.schedule == "constant"  # the author's schedulers never stepped


def test_every_family_has_both_recipes_and_quick_is_quicker() -> None:
    for family in FAMILIES.names():
        quick, paper = (recipe_for(name, family) for name in RECIPES)
        assert quick.epochs < paper.epochs
        assert quick.baseline_epochs < paper.baseline_epochs
        assert quick.adversary.steps < paper.adversary.steps


def test_unknown_names_are_refused() -> None:
    with pytest.raises(RequestError, match="did you mean 'paper'"):
        recipe_for("papre", "mnist")
    with pytest.raises(RequestError, match="'paper' has no settings for the networks of 'imagenet'"):
        recipe_for("paper", "imagenet")
