"""Options out of range are refused with the option's name; the ranges are those of the attacks' definitions."""

import math
from typing import Any

import pytest

from attacks.cw import CwConfig
from attacks.errors import RequestError
from attacks.fgsm import FgsmConfig
from attacks.pgd import PgdConfig

BUDGET: dict[str, Any] = {"epsilon": 0.1, "step_size": 0.1, "steps": 1}


@pytest.mark.parametrize("epsilon", [0.0, -0.1, 1.0001, math.nan, math.inf])
def test_epsilon_lies_above_zero_and_at_most_at_one(epsilon: float) -> None:
    with pytest.raises(RequestError, match="epsilon"):
        FgsmConfig(epsilon=epsilon)
    with pytest.raises(RequestError, match="epsilon"):
        PgdConfig(**BUDGET | {"epsilon": epsilon})


def test_an_epsilon_of_one_is_the_largest() -> None:
    assert FgsmConfig(epsilon=1.0).epsilon == PgdConfig(**BUDGET | {"epsilon": 1}).epsilon == 1


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["step_size", "steps", "restarts"])
def test_pgd_needs_steps(name: str, value: float) -> None:
    with pytest.raises(RequestError, match=name.replace("_", "-")):
        PgdConfig(**BUDGET | {name: value})


def test_pgd_works_until_success_or_until_the_end() -> None:
    assert {PgdConfig(**BUDGET, until=until).until for until in ("success", "end")} == {"success", "end"}
    with pytest.raises(RequestError, match="unknown until 'sucess'; did you mean 'success'"):
        PgdConfig(**BUDGET, until="sucess")


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_confidence_is_a_number_of_at_least_zero(value: float) -> None:
    with pytest.raises(RequestError, match="confidence"):
        CwConfig(confidence=value)
    assert CwConfig(confidence=0.0).confidence == 0


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["search_steps", "steps", "learning_rate", "initial_c", "max_l2"])
def test_cw_needs_a_budget(name: str, value: float) -> None:
    with pytest.raises(RequestError, match=name.replace("_", "-")):
        CwConfig(**{name: value})
