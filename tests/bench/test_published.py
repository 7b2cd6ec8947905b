"""The paper's numbers, against cells typed here from the supplement's Tables 3, 4, 5 and 6."""

from typing import Any

import pytest

from bench.paper.published import published_for


def fitted_as(dataset: str, method: str) -> dict[str, Any]:
    """The settings of the paper's own methods; embedding sizes as in the supplement's Table 2."""
    if not method.startswith("er"):
        return {"adversarial": None}
    size = {"mnist": (4, 13), "cifar10": (16, 17)}.get(dataset, (4, 7))[method.startswith("er2")]
    regularizer = "none" if method.endswith("-minus") else "adversarial"
    return {"adversarial": None, "prior": "gaussian", "regularizer": regularizer, "embedding_dim": size}


def changed(**config: Any) -> dict[str, Any]:
    return spec("mnist", "fgsm", "er1", "cw", 9) | {"classifier": {"config": fitted_as("mnist", "er1") | config}}


def spec(dataset: str, trained: str, method: str, attack: str, confidence: float = 0) -> dict[str, Any]:
    detector = {"name": method, "train_attack": trained}
    return {
        "dataset": dataset,
        "classifier": {"config": fitted_as(dataset, method)},
        "detector": detector,
        "attack": attack,
        "attack_config": {"confidence": confidence},
    }


@pytest.mark.parametrize(
    ("dataset", "trained", "method", "attack", "confidence", "expected"),
    [
        ("mnist", "fgsm", "er1", "cw", 9, ("3", 0.80, 1.00)),
        ("mnist", "fgsm", "kd", "cw", 9, ("3", 0.635, 0.11)),
        ("cifar10", "fgsm", "er2", "cw", 20, ("3", 0.77, 0.16)),
        ("cifar10", "pgd", "lid", "cw", 20, ("4", 0.94, 0.36)),
        ("mnist", "cw", "er1", "cw", 9, ("5", 0.87, 0.11)),
        ("mnist", "pgd", "er1", "pgd", 0, ("6", 0.9741, 0.6381)),
        ("mnist", "cw", "er2-minus", "cw", 0, ("6", 0.9155, 0.0975)),
        ("cifar10", "fgsm", "er2", "fgsm", 0, ("6", 0.9769, 0.6160)),
    ],
)
def test_cells(
    dataset: str, trained: str, method: str, attack: str, confidence: float, expected: tuple[str, float, float]
) -> None:
    found = published_for(spec(dataset, trained, method, attack, confidence))
    assert found is not None
    assert (found.table, found.acc_nadv, found.acc_com) == pytest.approx(expected)


@pytest.mark.parametrize(
    "other",
    [
        spec("mnist", "fgsm", "er1", "cw", 20),  # MNIST's confidence is 9
        spec("digits", "fgsm", "er1", "cw", 9),
        spec("mnist", "fgsm", "er1-minus", "cw", 9),
        spec("mnist", "pgd", "kd", "pgd"),
        spec("mnist", "fgsm", "er1", "cw", 9) | {"detector": None},
        spec("mnist", "fgsm", "er1", "pgd"),  # Table 6 is trained on the attack it is tested on
        changed(adversarial={"steps": 7}),
        changed(prior="cauchy"),
        changed(regularizer="none"),
        changed(embedding_dim=64),
    ],
)
def test_what_the_paper_has_no_number_for(other: dict[str, Any]) -> None:
    assert published_for(other) is None
