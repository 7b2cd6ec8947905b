"""What the numbers of `theorem1` say, in sentences. A statement that the samples contradict is called VIOLATED."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.paper.studies.theorem_cases import DRAWN, ENCODER, IDENTITY, NOISES

ROUNDING = 1e-7  # the linear program's own tolerance
Data = Sequence[Mapping[str, Any]]


def findings_of(data: Data) -> tuple[str, ...]:
    """Sentences on identity, bound and encoder.

    Args:
        data: dicts of `studies.theorem_cases.evaluate` with their `seed`, of all seeds.
    """
    identity = [datum for datum in data if datum["case"] == IDENTITY]
    bounds = [datum for datum in data if datum["case"] in (*NOISES.values(), DRAWN)]
    encoder = [datum for datum in data if datum["case"] == ENCODER]
    return (_on_identity(identity), *_on_bound(bounds), *_on_middle(bounds), *_on_encoder(encoder, identity))


def _on_identity(data: Data) -> str:
    largest = max(abs(datum["slack"]) for datum in data)
    if largest > ROUNDING:
        return f"VIOLATED: the two sides of Theorem 1's identity differ by {largest:.2e}."
    return (
        "Theorem 1's identity holds: the linear program over labels and outputs and the best pairing of images and "
        f"codes differ by at most {largest:.0e}."
    )


def _on_bound(data: Data) -> list[str]:
    violated = [
        f"VIOLATED: bound {datum['case']}, seed {datum['seed']}: slack {datum['slack']:.2e}."
        for datum in data
        if datum["slack"] < -ROUNDING
    ]
    slacks = [datum["slack"] for datum in data]
    held = f"Bound (6) holds in all {len(data)} evaluations, with a slack of {min(slacks):.4f} to {max(slacks):.4f}."
    return violated or [held]


def _on_middle(data: Data) -> list[str]:
    outside = max(max(datum["left"] - datum["middle"], datum["middle"] - datum["right"]) for datum in data)
    if outside > ROUNDING:
        return [f"VIOLATED: the middle term of (6) lies outside of the two ends by {outside:.2e}."]
    gap = max(abs(datum["right"] - datum["middle"]) for datum in data)
    if gap > ROUNDING:
        return [f"The middle term of (6) lies below the right side by at most {gap:.4f}."]
    return [
        f"The second inequality of (6) is an equality (to {gap:.0e}): all slack is in the first, where the left side "
        "lets U depend on X beyond Z."
    ]


def _on_encoder(data: Data, identity: Data) -> list[str]:
    attained, own, distance = (_mean(data, name) for name in ("right", "left", "squared_mmd"))
    least = _mean(identity, "right")
    where = "below" if attained < least else "above"
    findings = [
        f"The trained encoder attains {attained:.4f}, {where} the identity's {least:.4f}, which bounds only encoders "
        f"whose codes are distributed as the prior: its codes have squared MMD {distance:.4f} to it, where 0 is "
        f"expected of equal distributions and 2 is the most. With its own distribution of codes in the prior's place "
        f"the infimum is {own:.4f}."
    ]
    if any(datum["slack"] < -ROUNDING for datum in data):
        findings.append("VIOLATED: the trained encoder lies below the infimum for its own distribution of codes.")
    return findings


def _mean(data: Data, name: str) -> float:
    return sum(float(datum[name]) for datum in data) / len(data)
