"""Which settings each registered classifier trains with: the recipe's, or what was asked for."""

from typing import Any

import pytest

from attacks.errors import RequestError
from defenses.contract import BuildRequest, ClassifierEntry
from defenses.registry import DEFENSES
from defenses.training.recipes import recipe_for


def _configure(name: str, family: str = "mnist", recipe: str = "paper", **options: Any) -> Any:
    entry = DEFENSES.get(name)
    assert isinstance(entry, ClassifierEntry)
    assert set(options) <= entry.options
    return entry.configure(BuildRequest(family=family, recipe=recipe, options=options))


@pytest.mark.parametrize("recipe", ["paper", "quick"])
@pytest.mark.parametrize("family", ["mnist", "stl10"])
def test_er_classifiers_follow_the_recipe(family: str, recipe: str) -> None:
    expected = recipe_for(recipe, family)
    names = ("batch_size", "learning_rate", "regularizer_weight", "separate_steps", "head_rate", "schedule")
    plain, robust = (_configure(name, family, recipe) for name in ("er-classifier", "er-classifier-at"))
    for config in (plain, robust):
        assert {name: getattr(config, name) for name in names} == {name: getattr(expected, name) for name in names}
        assert (config.regularizer, config.prior) == ("adversarial", "gaussian")
        assert config.embedding_dim == {"mnist": 4, "stl10": 16}[family]  # supplement Table 2
    assert (plain.epochs, plain.adversarial) == (expected.epochs, None)
    assert (robust.epochs, robust.adversarial) == (expected.adversarial_epochs, expected.adversary)


@pytest.mark.parametrize(("family", "epsilon", "steps"), [("mnist", 0.3, 40), ("cifar10", 0.03, 20)])
@pytest.mark.parametrize("name", ["madry", "er-classifier-at"])
def test_min_max_training_uses_table_1(name: str, family: str, epsilon: float, steps: int) -> None:
    config = _configure(name, family)
    assert (config.adversarial.epsilon, config.adversarial.steps) == (epsilon, steps)
    assert config.epochs == 20


def test_the_standard_network_is_trained_plainly() -> None:
    config, recipe = _configure("standard"), recipe_for("paper", "mnist")
    assert (config.epochs, config.learning_rate) == (recipe.baseline_epochs, recipe.baseline_learning_rate)
    assert config.adversarial is None


@pytest.mark.parametrize("name", ["er-classifier", "er-classifier-at"])
def test_options_reach_the_settings(name: str) -> None:
    options = {"epochs": 3, "embedding_dim": 9, "prior": "uniform", "regularizer_weight": 0.7}
    options |= {"regularizer": "none", "encoder_init": "imagenet"}
    config = _configure(name, **options)
    assert {option: getattr(config, option) for option in options} == options


@pytest.mark.parametrize("name", ["standard", "madry", "e-cla"])
def test_epochs_reach_every_classifier(name: str) -> None:
    assert _configure(name, epochs=7).epochs == 7


def test_e_cla_is_the_er_classifier_without_regularizer() -> None:
    entry = DEFENSES.get("e-cla")
    assert not entry.options & {"regularizer", "regularizer_weight", "prior"}
    ours, other = _configure("e-cla", embedding_dim=5), _configure("er-classifier", embedding_dim=5)
    assert (ours.regularizer, ours.regularizer_weight) == ("none", 0.0)
    for name in ("epochs", "batch_size", "learning_rate", "embedding_dim", "head_rate", "schedule"):
        assert getattr(ours, name) == getattr(other, name)
    # options meant for its regularized sibling change nothing
    request = BuildRequest(family="mnist", recipe="paper", options={"regularizer": "kl", "embedding_dim": 5})
    assert entry.configure(request) == ours


def test_values_out_of_range_are_refused() -> None:
    for options in ({"prior": "normal"}, {"regularizer": "kl", "prior": "cauchy"}, {"regularizer_weight": -1.0}):
        with pytest.raises(RequestError):
            _configure("er-classifier", **options)
    with pytest.raises(RequestError, match="recipe"):
        _configure("standard", recipe="slow")
