"""Figures 1 to 3: rows, clean accuracy at budget 0, who stands best and who is told apart, from made-up counts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from desk_made_up import MadeUpDesk, made_of, texts

from bench.metrics.over_seeds import estimate_rate
from bench.metrics.rates import rate
from bench.paper.artifacts.robustness_curves import FIGURE1, FIGURE2, FIGURE3
from bench.paper.contract import ArtifactEntry, PaperRequest
from bench.record import Record
from defenses.priors import PRIORS

MakeRecord = Callable[..., Record]
Counts = Mapping[Any, Sequence[int]]  # by variant: correct of 100 clean images, then by budget
BUDGETS = (0.02, 0.1)


@pytest.fixture
def answering(make_record: MakeRecord) -> Callable[..., Any]:
    """Records whose counts of 100 are given by the value of an option of theirs; of none, the run does not converge."""

    def answering(option: str, counts: Counts) -> Callable[[Mapping[str, Any], int], Record]:
        def answer(options: Mapping[str, Any], seed: int) -> Record:
            variant = options.get(option)
            if not counts[variant]:
                return replace(make_record(status="not-converged", seed=seed), message="not enough epochs")
            clean, *robust = counts[variant]
            correct = robust[BUDGETS.index(options["epsilon"])]
            metrics = {"clean_accuracy": rate(clean + seed, 100), "robust_accuracy": rate(correct + seed, 100)}
            return make_record(metrics=metrics, seed=seed, defense=f"{variant} {options['epsilon']}")

        return answer

    return answering


def test_a_row_a_variant_and_a_datum_a_budget(answering: Callable[..., Any]) -> None:
    counts = {2: (90, 60, 10), 4: (95, 70, 30)}
    made = made_of(FIGURE1, answering("embedding_dim", counts), dims=(2, 4), epsilons=BUDGETS)
    assert [(row["variant"], row["epsilon"]) for row in made.data] == [
        (variant, epsilon) for variant in ("2", "4") for epsilon in (0.0, *BUDGETS)
    ]
    for row, expected in zip(made.data, (*counts[2], *counts[4]), strict=True):
        own = estimate_rate([rate(expected + seed, 100) for seed in range(3)])
        assert (row["accuracy"], row["low"], row["high"]) == (own.value, own.low, own.high)
        assert (row["n"], row["seeds"], row["artifact"]) == (300, 3, "figure1")
    assert [column.title for column in made.table.columns] == ["dimension", "clean", "ε 0.02", "ε 0.1"]
    assert [[text.partition(" [")[0] for text in row] for row in texts(made)] == [
        ["2", "91.0", "61.0", "11.0"],
        ["4", "96.0", "71.0", "31.0"],
    ]
    assert len(set(made.keys)) == 2 * len(BUDGETS) * 3


def test_the_picture_begins_at_clean_accuracy(answering: Callable[..., Any]) -> None:
    counts = {2: (90, 60, 10), 4: ()}
    made = made_of(FIGURE1, answering("embedding_dim", counts), seeds=1, dims=(2, 4), epsilons=BUDGETS)
    assert made.figure is not None
    (axes,) = made.figure.axes
    (line,) = axes.lines  # what gave no numbers has none
    assert line.get_label() == "2"
    assert list(line.get_xdata()) == [0.0, *BUDGETS]
    assert list(line.get_ydata()) == [90.0, 60.0, 10.0]


@pytest.mark.parametrize(
    ("second", "apart"),
    [
        ((95, 69, 28), False),
        ((95, 69, 5), True),  # at the larger budget alone
        ((5, 69, 28), False),  # clean images are no attack
    ],
)
def test_variants_are_told_apart_by_intervals_under_attack(
    answering: Callable[..., Any], second: Sequence[int], apart: bool
) -> None:
    counts = {2: second, 4: (95, 70, 30)}
    made = made_of(FIGURE1, answering("embedding_dim", counts), dims=(2, 4), epsilons=BUDGETS)
    sentence = made.findings[0]
    assert sentence.startswith("mean accuracy over the budgets, by dimension: 4: 51.0 %, 2: ")
    told = "at some budget from 2" if apart else "from none of the others"
    assert sentence.endswith(f"; 4 is told apart {told}")


def test_what_gave_no_numbers_is_no_accuracy_of_zero(answering: Callable[..., Any]) -> None:
    counts = {None: (95, 70, 30), 0.1: (), 0.3: (95, 0, 0)}
    answer = answering("train_epsilon", counts)
    made = made_of(FIGURE2, answer, seeds=1, train_epsilons=(0.1, 0.3), epsilons=BUDGETS)
    means = "by training ε: none: 50.0 %, 0.3: 0.0 %, 0.1: n/a;"
    assert means in made.findings[0]
    assert made.findings[1:] == ("0.1, seed 0: no numbers, not-converged: not enough epochs",)  # once for all budgets
    assert texts(made)[1] == ["0.1", "n/a", "n/a", "n/a"]
    assert {row["accuracy"] for row in made.data if row["variant"] == "0.1"} == {None}


def test_a_line_of_fewer_seeds_says_so(answering: Callable[..., Any]) -> None:
    answer = answering("train_epsilon", {None: (95, 70, 30), 0.1: (95, 0, 0), 0.3: ()})
    failing = answering("train_epsilon", {None: (95, 70, 30), 0.1: (), 0.3: ()})
    made = made_of(
        FIGURE2,
        lambda options, seed: (answer if seed == 1 else failing)(options, seed),
        train_epsilons=(0.1, 0.3),
        epsilons=BUDGETS,
    )
    assert [row[0] for row in texts(made)] == ["none", "0.1 (1 of 3 seeds)", "0.3"]
    assert made.figure is not None
    assert [line.get_label() for line in made.figure.axes[0].lines] == ["none", "0.1 (1 of 3 seeds)"]
    assert {(row["variant"], row["seeds"]) for row in made.data} == {("none", 3), ("0.1", 1), ("0.3", 0)}


def asked(entry: ArtifactEntry, answer: Any) -> list[Mapping[str, Any]]:
    desk = MadeUpDesk(answer, PaperRequest(seeds=(0,)))
    entry.make(desk)  # type: ignore[arg-type]
    return desk.asked


@pytest.mark.parametrize(
    ("entry", "option", "variants", "budgets"),
    [
        (FIGURE1, "embedding_dim", [2, 4, 7, 14], [0.02, 0.04, 0.06, 0.08, 0.1]),  # digits: 4, intrinsic 7
        (FIGURE2, "train_epsilon", [None, 0.1, 0.2, 0.3], [0.02, 0.1, 0.15, 0.2, 0.3]),  # Table 1's epsilon: 0.3
        (FIGURE3, "prior", list(PRIORS), [0.02, 0.04, 0.06, 0.08, 0.1]),
    ],
)
def test_what_is_attacked_by_default(
    make_record: MakeRecord, entry: ArtifactEntry, option: str, variants: list[Any], budgets: list[float]
) -> None:
    metrics = {"clean_accuracy": rate(9, 10), "robust_accuracy": rate(5, 10)}
    cells = asked(entry, lambda *_: make_record(metrics=metrics))
    assert [(cell.get(option), cell["epsilon"]) for cell in cells] == [
        (variant, budget) for variant in variants for budget in budgets
    ]
    assert {(cell["attack"], cell["n_test"]) for cell in cells} == {("pgd", 200)}
