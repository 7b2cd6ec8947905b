"""Theorem 1 and bound (6), both sides evaluated on samples with a trained ER-Classifier, and the slack between them.

Source: supplement A. What is computed and why it is exact: `bench.paper.studies.theorem_sides`, docs/theorem1.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from attacks.errors import RequestError
from bench.paper.artifacts.theorem1_findings import ROUNDING, findings_of
from bench.paper.contract import ArtifactEntry, Column, Made, PaperTable, Row, Wanted, plain_row
from bench.paper.desk import Desk
from bench.paper.studies.theorem_cases import DRAWN, ENCODER, IDENTITY, NOISES, draw, evaluate
from bench.storage.store import Item
from defenses.networks.registry import FAMILIES

SAMPLES = 1000
MOST_SAMPLES = 5000  # the pairing's time grows with the cube of them, its memory with the square
STORED = ("labels", "outputs", "encoded_outputs")


def _samples(desk: Desk) -> int:
    samples = int(desk.request.options.get("samples", SAMPLES))
    if not 2 <= samples <= MOST_SAMPLES:
        raise RequestError(f"--samples must be between 2 and {MOST_SAMPLES:,}, got {samples}")
    return min(samples, len(desk.dataset.test))


def _runs(desk: Desk) -> list[Wanted]:
    _samples(desk)  # raises for options out of range before anything runs
    return []


def _make(desk: Desk) -> Made:
    n, seeds = _samples(desk), desk.request.seeds
    studies = [_study(desk, seed, n) for seed in seeds]
    data = [
        {"seed": seed, "n": n, **datum}
        for seed, study in zip(seeds, studies, strict=True)
        for datum in study.details["cases"]
    ]
    blocks = ((IDENTITY,), (*NOISES.values(), DRAWN), (ENCODER,))
    titles = ("Case", "Left side", "Middle", "Right side", "Slack")
    return Made(
        title="Both sides of Theorem 1 and of bound (6), by exact optimal transport on samples",
        table=PaperTable(
            columns=tuple(Column(title=title) for title in titles),
            blocks=tuple(tuple(_row(case, data) for case in block) for block in blocks),
        ),
        data=tuple(data),
        findings=findings_of(data),
        counted=f"n {n} test images and {n} draws from the prior a seed",
        legend=(
            "Mean over seeds, with the least and the greatest; slack is the right side minus the left one. U is C(Z) "
            "in Theorem 1, C(Z) with noise of that deviation or a label drawn from C(Z) in (6), C(Q(X)) for the encoder"
        ),
        keys=tuple(desk.study_key(study) for study in studies),
    )


def _study(desk: Desk, seed: int, n: int) -> Item:
    fitted, dataset = desk.classifier("er-classifier", seed), desk.dataset
    prior = desk.request.settings.get("prior", "gaussian")

    def compute() -> tuple[dict[str, Any], dict[str, Any]]:
        draws = draw(fitted.network, dataset.test, prior, n, seed)
        tensors = {name: tensor for name, tensor in asdict(draws).items() if name in STORED}
        return tensors, {"cases": evaluate(draws)}

    identity = {"classifier": fitted.key, "dataset": dataset.digest, "prior": prior, "n": n, "seed": seed}
    return desk.study("theorem1", identity, evaluate, compute)


def _row(case: str, data: Sequence[Mapping[str, Any]]) -> Row:
    mine = [datum for datum in data if datum["case"] == case]
    sides = [_over_seeds([datum[name] for datum in mine]) for name in ("left", "middle", "right")]
    return plain_row(case, *sides, _slack([datum["slack"] for datum in mine]))


def _over_seeds(values: Sequence[float | None]) -> str:
    """The mean, with the least and the greatest where there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    mean = f"{sum(known) / len(known):.3f}"
    return mean if len(known) == 1 else f"{mean} [{min(known):.3f}, {max(known):.3f}]"


def _slack(slacks: Sequence[float]) -> str:
    largest = max(abs(slack) for slack in slacks)
    return f"0 ± {largest:.0e}" if largest <= ROUNDING else _over_seeds(slacks).replace("-", "−")


THEOREM1 = ArtifactEntry(
    name="theorem1",
    summary="both sides of Theorem 1 and of bound (6) by exact optimal transport on samples",
    source="supplement A, (1) to (8)",
    families=frozenset(FAMILIES.names()),
    options=frozenset({"samples"}),
    runs=_runs,
    make=_make,
)
