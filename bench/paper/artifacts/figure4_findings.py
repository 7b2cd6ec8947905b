"""What the loss surfaces say, in sentences: smooth or not, and whether the gradient shows where the loss rises."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.paper.studies.surface_shape import SurfaceShape

SMOOTH = 0.02  # mean bend between neighbors, as a share of the span, up to which a surface counts as smooth [D]
GUESSING = 0.5  # share of the loss of guessing, beyond which a flat surface shows a network that has learned little
FINE = 31  # points a side from which this is said: on a coarser grid a smooth surface bends farther from step to step


def findings_of(
    measured: Sequence[tuple[str, SurfaceShape, int, Mapping[str, Any]]], images: int, grid: int, classes: int
) -> tuple[str, ...]:
    """One sentence a classifier on its mean surface, one on the paper's claim, and one on arithmetic a classifier.

    Args:
        measured: a classifier's name, the shape of its mean surface, how many single images rise farther across than
            along, and how its surfaces were computed (`precision`, `deviation`, `checked`).
        images: behind each mean.
        grid: points a side.
        classes: of the dataset; one that guesses among them has a loss of their logarithm.
    """
    sentences = [_of_shape(name, shape, masked, images) for name, shape, masked, _ in measured]
    sentences += [
        _of_guessing(name, shape, math.log(classes))
        for name, shape, _, _ in measured
        if shape.center > GUESSING * math.log(classes)
    ]
    sentences.append(_of_claim({name: _is_smooth(shape) for name, shape, _, _ in measured}, grid))
    return (*sentences, *(_of_arithmetic(name, details) for name, _, _, details in measured))


def _of_shape(name: str, shape: SurfaceShape, masked: int, images: int) -> str:
    if shape.rise_ratio is None:
        way = "the mean loss does not rise along the gradient's sign: the gradient is masked"
    elif shape.rise_ratio > 1:
        way = f"the mean loss rises {shape.rise_ratio:.2f} times as far in a random direction: the gradient is masked"
    else:
        way = f"in a random direction the mean loss rises {shape.rise_ratio:.2f} times as far as along the sign"
    return (
        f"{name}: mean loss {shape.center:.3g} nats at the images, {shape.end:.3g} at the last step along the sign of "
        f"the gradient, at most {shape.largest:.3g}; {way} ({masked} of {images} images rise farther across)"
    )


def _of_guessing(name: str, shape: SurfaceShape, chance: float) -> str:
    return (
        f"{name} has hardly learned its task: {shape.center:.3g} nats at images that it gets right, where guessing "
        f"costs {chance:.3g}; its surface says little"
    )


def _of_claim(smooth: Mapping[str, bool], grid: int) -> str:
    if grid < FINE:
        return f"the paper calls its surfaces smooth; {grid} points a side are too few to tell (at least {FINE})"
    rough = [name for name, is_smooth in smooth.items() if not is_smooth]
    ours = f"ours of {' and '.join(rough)} bends more" if rough else "ours are, too"
    return f"the paper calls its surfaces smooth; {ours} (mean bend at most {100 * SMOOTH:g} % of the span)"


def _is_smooth(shape: SurfaceShape) -> bool:
    return shape.roughness is None or shape.roughness <= SMOOTH


def _of_arithmetic(name: str, details: Mapping[str, Any]) -> str:
    deviation = details["deviation"]
    if deviation is None:
        return f"{name}: computed in float32"
    told = f"{100 * deviation:.2f} % of its range at {details['checked']} random points computed in float32 too"
    if details["precision"] == "float32":
        return f"{name}: computed in float32, because the mean surface in bfloat16 was off by {told}"
    return f"{name}: the mean surface is computed in bfloat16, off by at most {told}; the single image's in float32"
