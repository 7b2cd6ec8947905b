"""Whether losses converge, and what becomes of the paper's sentence on KL: from curves made up here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from desk_made_up import Answer, made_of, texts

from bench.metrics.rates import rate
from bench.paper.artifacts.kl import KL, converges
from bench.record import Record

MakeRecord = Callable[..., Record]
FALLS = (2.0, 1.0, 0.5, 0.3, 0.2, 0.2, 0.2, 0.2)
CLIMBS = (2.0, 1.0, 0.5, 0.2, 0.3, 0.5, 0.9, 1.5)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (FALLS, True),
        (CLIMBS, False),  # it ends below its start, but far above its lowest
        ((2.0, 0.5, 1.5, 0.5, 1.5, 0.5, 1.5, 0.5), False),  # oscillates to its end
        ((2.0, 0.5, 1.5, 0.5, 1.5, 0.5, 0.5, 0.5), True),  # oscillates, then settles
        ((1.0,) * 8, False),  # flat: nothing was learned
        ((0.2, 0.3, 0.5, 1.0), False),
        ((3.0, 2.0, 1.0, 1.0, 1.19), True),  # within a tenth of its way, which is 2 nats
        ((3.0, 2.0, 1.0, 1.0, 1.21), False),
        ((2.0, 1.0), False),  # two epochs show no staying
    ],
)
def test_a_loss_converges_when_it_falls_and_stays(losses: Sequence[float], expected: bool) -> None:
    assert converges(losses) is expected


def test_only_the_last_quarter_must_be_calm() -> None:
    for place, expected in ((8, True), (9, False), (10, False), (11, False)):  # of twelve epochs
        losses = [2.0, *[0.5] * 11]
        losses[place] = 1.5
        assert converges(losses) is expected, place


@pytest.fixture
def answering(make_record: MakeRecord) -> Callable[..., Answer]:
    """Records of trainings: with KL two losses a weight and seed, without it cross-entropy is `control`."""

    def answering(
        kl: Mapping[float, Sequence[tuple[Sequence[float], Sequence[float]]]], *, control: Sequence[float] = FALLS
    ) -> Answer:
        def answer(options: Mapping[str, Any], seed: int) -> Record:
            cross_entropy, penalty = control, FALLS[: len(control)]
            if options.get("regularizer") == "kl":
                cross_entropy, penalty = kl[options["regularizer_weight"]][seed]
            epochs = [
                {"epoch": number, "accuracy": 0.5, "losses": {"cross_entropy": one, "penalty": other}}
                for number, (one, other) in enumerate(zip(cross_entropy, penalty, strict=True), start=1)
            ]
            metrics = {"clean_accuracy": rate(45, 50), "embedding": {"squared_mmd": 0.25}}
            return replace(make_record(metrics=metrics, seed=seed), training=epochs)

        return answer

    return answering


@pytest.mark.parametrize(
    ("kl", "control", "verdict"),
    [
        ({0.1: [(FALLS, FALLS)]}, FALLS, "refuted here"),
        ({0.1: [(FALLS, CLIMBS)]}, FALLS, "confirmed here"),
        ({0.1: [(CLIMBS, FALLS)]}, FALLS, "confirmed here"),
        (
            {0.1: [(FALLS, CLIMBS)], 1.0: [(FALLS, FALLS)]},
            FALLS,
            "confirmed at some weights or seeds here, not at others",
        ),
        ({0.1: [(CLIMBS, FALLS)]}, CLIMBS, "not to be told here, where cross-entropy does not converge without KL"),
        ({0.1: [((2.0, 1.0), (2.0, 1.0))]}, (2.0, 1.0), "not to be told here, where cross-entropy does not converge"),
    ],
)
def test_verdicts(answering: Callable[..., Answer], kl: Any, control: Sequence[float], verdict: str) -> None:
    made = made_of(KL, answering(kl, control=control), seeds=1, weights=tuple(kl))
    (sentence,) = [finding for finding in made.findings if finding.startswith("the paper says")]
    said = "the paper says that the KL loss and the classification loss cannot converge together: "
    assert sentence.startswith(said + verdict)


def test_the_table_counts_seeds_and_shows_how_losses_began_and_ended(answering: Callable[..., Answer]) -> None:
    made = made_of(KL, answering({0.1: [(FALLS, CLIMBS), (FALLS, FALLS)]}), seeds=2, weights=(0.1,))
    none, discriminator, kl = texts(made)
    assert none[0] == "none (E-CLA)"
    assert discriminator[0] == "discriminator"
    assert none[3:6] == discriminator[3:6] == ["–", "–", "–"]  # their penalty is no divergence
    assert kl[:3] == ["KL, λ₁ 0.1", "2.000 [2.000, 2.000]", "0.200 [0.200, 0.200]"]
    assert kl[3] == "2.000 [2.000, 2.000]"
    assert kl[4].startswith("0.850 [")  # the mean of 1.5 and 0.2
    assert kl[5] == "1 of 2"
    assert kl[6].startswith("90.0 [")
    assert made.findings[0] == "both losses converge together with KL, λ₁ 0.1: 1 of 2 seeds"
    assert len(made.data) == 3 * 2 * len(FALLS)
    assert [row["penalty"] for row in made.data[-8:]] == list(FALLS)


def test_a_training_without_a_usable_model_still_gives_its_epochs(answering: Callable[..., Answer]) -> None:
    usual = answering({0.1: [(FALLS, FALLS), (CLIMBS, FALLS)]})

    def answer(options: Mapping[str, Any], seed: int) -> Record:
        record = usual(options, seed)
        failed = options.get("regularizer") == "kl" and seed == 1
        return replace(record, status="not-converged", message="why", metrics={}) if failed else record

    made = made_of(KL, answer, seeds=2, weights=(0.1,))
    assert [row["cross_entropy"] for row in made.data if row["status"] == "not-converged"] == list(CLIMBS)
    assert texts(made)[2][5] == "1 of 2"
    assert made.findings[-1] == "KL, λ₁ 0.1, seed 1: no numbers, not-converged: why"
    assert made.figure is not None
    drawn = [line.get_ydata() for line in made.figure.axes[0].lines]
    assert any(list(line) == list(CLIMBS) for line in drawn)


def test_a_training_that_diverged_does_not_converge_and_a_crash_says_nothing(answering: Callable[..., Answer]) -> None:
    def ending(status: str) -> Answer:
        usual = answering({0.1: [(FALLS, FALLS), (FALLS, FALLS)]})

        def answer(options: Mapping[str, Any], seed: int) -> Record:
            record = usual(options, seed)
            if options.get("regularizer") != "kl" or seed == 0:
                return record
            return replace(record, status=status, message="Traceback\n  line\nwhy", metrics={}, training=[])

        return answer

    diverged = made_of(KL, ending("not-converged"), seeds=2, weights=(0.1,))
    assert texts(diverged)[2][5] == "1 of 2"
    crashed = made_of(KL, ending("error"), seeds=2, weights=(0.1,))
    assert texts(crashed)[2][5] == "1 of 1"
    assert crashed.findings[-1] == "KL, λ₁ 0.1, seed 1: no numbers, error: why"
