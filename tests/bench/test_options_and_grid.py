"""From the command line's text to cells: comma lists, and each option going to the cells that take it."""

from typing import Any

import pytest

from attacks.errors import RequestError
from bench.grid import expand
from bench.options import OPTIONS, parse_list
from bench.request import Request


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("defense", "er1,kd", ["er1", "kd"]),
        ("defense", " er1 , kd ", ["er1", "kd"]),
        ("seed", "0,1,2", [0, 1, 2]),
        ("confidence", "9,20.5,0", [9.0, 20.5, 0.0]),
        ("bandwidth", "auto,0.26", [None, 0.26]),
        ("density", "log,linear", ["log", "linear"]),
        ("class_weight", "none,balanced", ["none", "balanced"]),
        ("train_epsilon", "0.1,0.3", [0.1, 0.3]),
        ("train_learning_rate", "1e-3,1", [0.001, 1.0]),
        ("head_rate", "0.05", [0.05]),
        ("dataset", "folder:a b/c:d", ["folder:a b/c:d"]),
    ],
)
def test_comma_lists(name: str, text: str, values: list[Any]) -> None:
    read = parse_list(name, text)
    assert read == values
    assert [type(value) for value in read] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("n_test", "ten", "--n-test takes a whole number or a comma list of them, got 'ten'"),
        ("seed", "1.5", "--seed takes a whole number"),
        ("confidence", "9;20", "--confidence takes a number"),
        ("bandwidth", "wide", "--bandwidth takes a number or 'auto'"),
        ("defense", "er1,,kd", "--defense takes a name or a comma list of them, got 'er1,,kd'"),
        ("defense", "", "--defense takes a name"),
        ("attack", "cw,", "--attack takes a name"),
        ("attack", "cw,fgsm, cw", "--attack lists 'cw' twice"),
        ("confidence", "9,9.0", "--confidence lists '9.0' twice"),
    ],
)
def test_lists_that_cannot_be_read(name: str, text: str, what: str) -> None:
    with pytest.raises(RequestError) as error:
        parse_list(name, text)
    assert what in str(error.value)


def cells(**values: Any) -> list[Request]:
    return expand({name: value if isinstance(value, list) else [value] for name, value in values.items()})


def test_a_grid_is_every_combination_in_the_order_listed() -> None:
    found = [
        (cell.defense, cell.attack, cell.seed)
        for cell in cells(defense=["kd", "er1"], attack=["fgsm", "pgd"], seed=[1, 0])
    ]
    expected = [(defense, attack, seed) for defense in ("kd", "er1") for attack in ("fgsm", "pgd") for seed in (1, 0)]
    assert found == expected


def test_an_option_goes_only_to_the_cells_that_take_it() -> None:
    grid = cells(
        defense=["er1", "lid", "standard"], attack=["cw", "fgsm"], confidence=9.0, prior="cauchy", neighbors=10, n_fit=7
    )
    options = {(cell.defense, cell.attack): dict(cell.options) for cell in grid}
    assert options == {
        ("er1", "cw"): {"confidence": 9.0, "prior": "cauchy"},
        ("er1", "fgsm"): {"prior": "cauchy"},
        ("lid", "cw"): {"confidence": 9.0, "neighbors": 10},
        ("lid", "fgsm"): {"neighbors": 10},
        ("standard", "cw"): {"confidence": 9.0},
        ("standard", "fgsm"): {},
    }
    assert {cell.defense: cell.n_fit for cell in grid} == {"er1": 7, "lid": 7, "standard": None}


def test_options_of_training_and_scoring_go_where_they_are_taken() -> None:
    grid = cells(
        defense=["standard", "madry", "er-classifier-at", "kd", "lid", "er1"],
        attack="fgsm",
        train_epsilon=0.1,
        train_learning_rate=0.002,
        head_rate=0.5,
        density="linear",
        class_weight="balanced",
    )
    options = {cell.defense: set(cell.options) for cell in grid}
    assert options == {
        "standard": {"train_learning_rate"},
        "madry": {"train_learning_rate", "train_epsilon"},
        "er-classifier-at": {"train_learning_rate", "train_epsilon", "head_rate"},
        "kd": {"train_learning_rate", "density"},
        "lid": {"train_learning_rate"},
        "er1": {"train_learning_rate", "head_rate", "density"},
    }
    balanced = {cell.defense for cell in grid if cell.class_weight == "balanced"}
    assert balanced == {"kd", "lid", "er1"}


def test_no_cell_comes_twice() -> None:
    grid = cells(defense="standard", attack=["fgsm", "cw"], confidence=[0.0, 9.0, 20.0])
    assert [(cell.attack, cell.options.get("confidence")) for cell in grid] == [
        ("fgsm", None),
        ("cw", 0.0),
        ("cw", 9.0),
        ("cw", 20.0),
    ]


@pytest.mark.parametrize(
    ("values", "name", "known"),
    [
        (
            {"defense": "standard", "attack": "fgsm", "confidence": 9.0},
            "--confidence is not an option of standard with fgsm",
            "--epsilon, --epochs",
        ),
        (
            {"defense": "kd", "attack": ["cw", "pgd"], "prior": "cauchy"},
            "--prior is not an option of kd with cw or kd with pgd",
            "--restarts",
        ),
        (
            {"defense": "lid", "attack": "cw", "bandwidth": 1.0},
            "--bandwidth is not an option of lid with cw",
            "--neighbors",
        ),
        (
            {"defense": "er1-minus", "attack": "cw", "adversarial_training": True},
            "--adversarial-training is not an option of er1-minus",
            "--max-l2",
        ),
        (
            {"defense": "lid", "attack": "fgsm", "density": "linear"},
            "--density is not an option of lid with fgsm",
            "--neighbors",
        ),
        (
            {"defense": "standard", "attack": "fgsm", "train_epsilon": 0.1},
            "--train-epsilon is not an option of standard with fgsm",
            "--train-learning-rate",
        ),
        (
            {"defense": "madry", "attack": "fgsm", "head_rate": 0.1},
            "--head-rate is not an option of madry with fgsm",
            "--train-epsilon",
        ),
        (
            {"defense": ["standard", "madry"], "attack": "fgsm", "class_weight": "balanced"},
            "--class-weight is for detectors",
            "standard with fgsm",
        ),
        (
            {"defense": ["standard", "madry"], "attack": "fgsm", "n_fit": 7},
            "--n-fit is for detectors",
            "standard with fgsm",
        ),
    ],
)
def test_an_option_that_no_cell_takes_is_refused_with_those_that_are(
    values: dict[str, Any], name: str, known: str
) -> None:
    with pytest.raises(RequestError) as error:
        cells(**values)
    message = str(error.value)
    assert name in message
    assert all(option in message for option in known.split(", "))


@pytest.mark.parametrize(
    ("values", "missing"), [({"defense": "kd"}, "attack"), ({"attack": "cw"}, "defense"), ({}, "defense")]
)
def test_what_is_needed_is_named(values: dict[str, Any], missing: str) -> None:
    with pytest.raises(RequestError, match=f"--{missing} is needed; `bench list {missing}s` shows what there is"):
        cells(**values)


def test_every_option_of_every_part_can_be_given() -> None:
    from attacks.registry import ATTACKS
    from bench.request import options_taken
    from defenses.registry import DEFENSES

    taken = set().union(*(options_taken(defense, attack.config) for defense in DEFENSES for attack in ATTACKS))
    assert taken <= set(OPTIONS)
