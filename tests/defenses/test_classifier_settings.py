"""Which settings each registered classifier trains with: the recipe's, or what was asked for."""

import math
from dataclasses import replace
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


@pytest.mark.parametrize("recipe", ["paper", "quick"])
@pytest.mark.parametrize("family", ["mnist", "stl10"])
@pytest.mark.parametrize("name", ["madry", "er-classifier-at"])
def test_the_training_step_scales_with_epsilon(name: str, family: str, recipe: str) -> None:
    own = recipe_for(recipe, family).adversary
    for factor in (0.5, 2.0):
        config = _configure(name, family, recipe, train_epsilon=factor * own.epsilon)
        assert config.adversarial.epsilon == factor * own.epsilon
        assert config.adversarial.step_size == pytest.approx(factor * own.step_size)
        assert config.adversarial == replace(own, epsilon=factor * own.epsilon, step_size=config.adversarial.step_size)
        assert replace(config, adversarial=own) == _configure(name, family, recipe)  # all else stays
    # the recipe's own epsilon named is the recipe: the same run, not one a rounding apart
    assert _configure(name, family, recipe, train_epsilon=own.epsilon) == _configure(name, family, recipe)


@pytest.mark.parametrize("name", ["standard", "er-classifier", "e-cla"])
def test_plain_training_takes_no_epsilon(name: str) -> None:
    assert "train_epsilon" not in DEFENSES.get(name).options


@pytest.mark.parametrize("name", ["standard", "madry", "er-classifier", "er-classifier-at", "e-cla"])
def test_the_training_rate_reaches_every_classifier(name: str) -> None:
    own, asked = _configure(name), _configure(name, train_learning_rate=0.0123)
    assert own.learning_rate != 0.0123
    assert asked == replace(own, learning_rate=0.0123)


@pytest.mark.parametrize("name", ["er-classifier", "er-classifier-at", "e-cla"])
def test_the_head_rate_reaches_the_networks_that_have_an_embedding(name: str) -> None:
    own, asked = _configure(name), _configure(name, head_rate=0.7)
    assert own.head_rate == 1 / 20  # the author's code
    assert asked == replace(own, head_rate=0.7)
    assert not {"head_rate"} & (DEFENSES.get("standard").options | DEFENSES.get("madry").options)


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
    for epsilon in (0.0, -0.1, 1.1, math.nan):
        with pytest.raises(RequestError, match="epsilon must lie in"):
            _configure("madry", train_epsilon=epsilon)
    for rate in (0.0, -1e-3, math.nan, math.inf):
        with pytest.raises(RequestError, match="train-learning-rate must be a number above 0"):
            _configure("standard", train_learning_rate=rate)
        with pytest.raises(RequestError, match="head-rate must be a number above 0"):
            _configure("e-cla", head_rate=rate)
    with pytest.raises(RequestError, match="recipe"):
        _configure("standard", recipe="slow")
