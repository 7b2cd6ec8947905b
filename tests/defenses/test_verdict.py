"""When training counts as failed. Thresholds are worked out by hand: with 10 classes 10 % + 0.1 * 90 % = 19 %."""

import math

import pytest

from attacks.errors import NotConvergedError
from defenses.training.contract import EpochSummary
from defenses.training.verdict import require_convergence


def _history(**losses: tuple[float, float]) -> list[EpochSummary]:
    """Two epochs; each loss as (first, last)."""
    return [
        EpochSummary(
            epoch=epoch + 1,
            epochs=2,
            losses={"cross_entropy": 0.3} | {name: values[epoch] for name, values in losses.items()},
            accuracy=0.9,
        )
        for epoch in range(2)
    ]


@pytest.mark.parametrize("regularizer", ["", "none", "adversarial", "kl"])
def test_a_good_run_passes(regularizer: str) -> None:
    require_convergence("e-cla", _history(penalty=(3.0, 1.0)), 0.9, 10, regularizer)
    require_convergence("e-cla", _history(penalty=(1.0, 1.0)), 0.191, 10, regularizer)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_fails_with_its_name(value: float) -> None:
    with pytest.raises(
        NotConvergedError, match=r"er-classifier did not converge: penalty ended as (nan|inf).* epoch 2"
    ):
        require_convergence("er-classifier", _history(penalty=(1.0, value)), 0.9, 10, "adversarial")


@pytest.mark.parametrize(("accuracy", "classes"), [(0.1, 10), (0.189, 10), (0.5, 2), (0.09, 200)])
def test_accuracy_at_chance_fails_with_the_figures(accuracy: float, classes: int) -> None:
    with pytest.raises(
        NotConvergedError, match=f"accuracy on training images {accuracy:.1%}.* chance is {1 / classes:.1%}"
    ):
        require_convergence("standard", _history(), accuracy, classes, "")  # whatever it was in train mode


def test_a_kl_divergence_that_rises_fails_and_another_penalty_may() -> None:
    rising = _history(penalty=(1.25, 7.5))
    with pytest.raises(NotConvergedError, match=r"rose from 1\.25 to 7\.5 nats"):
        require_convergence("er-classifier", rising, 0.9, 10, "kl")
    require_convergence("er-classifier", rising, 0.9, 10, "adversarial")


def test_the_process_ends_with_one() -> None:
    assert NotConvergedError.exit_code == 1  # the request was fine, its outcome was not
