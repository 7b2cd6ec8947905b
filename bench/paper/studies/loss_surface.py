"""The loss on a plane through an image: along the sign of its gradient and along random signs.

Source: supplement E, after Engstrom et al. 2018, arXiv:1807.10272: z = loss(x + a sign(grad loss(x)) + b r), r a
Rademacher vector. [D] As the formula is printed, points are not clipped to [0, 1]: clipped ones lie on no plane, and a
fold would run through a = 0 and b = 0 wherever pixels are black or white, as nearly all of MNIST's are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.draws import Draws
from attacks.errors import ModelError
from attacks.precision import running_in
from bench.inference import logits_of_all
from bench.paper.studies.plane import Plane, tiles_of
from bench.paper.studies.quick_copy import quick_copy
from bench.paper.studies.single_threads import mapped
from bench.progress import Task

PRECISIONS = ("auto", "float32", "bfloat16")
CHECKED = 0.01  # share of the grid that is computed in float32 too
FEWEST_CHECKED = 9
ROWS = 4  # of one image's grid that a thread works on at a time
VISIBLE = 0.01  # deviation, as a share of the surface's range, that a reader could see


@dataclass(frozen=True, slots=True, kw_only=True)
class Surfaces:
    """What the loss is on the planes of n images, in nats.

    losses: (n, grid, grid) float32, first along the gradient's sign and then across; first: (grid, grid), the first
    image's in float32 whatever the others were computed in.
    precision: of `losses`.
    deviation: of the mean surface in bfloat16 from float32 where both were computed, the largest as a share of its
        range; None where bfloat16 was not tried. checked: number of grid points with both.
    """

    losses: Tensor
    first: Tensor
    precision: str
    deviation: float | None
    checked: int


def steps_of(grid: int, farthest: float) -> Tensor:
    """(grid,) float32 from -farthest to farthest in pixel units, evenly; symmetric, and 0 among them when odd."""
    return (torch.arange(grid, dtype=torch.float64) * 2 - (grid - 1)).div(grid - 1).mul(farthest).to(torch.float32)


def planes_through(classifier: nn.Module, images: Tensor, labels: Tensor, draws: Draws) -> list[Plane]:
    """The plane of each image, whatever other images there are.

    Args:
        classifier: in eval mode.
        images: (n, c, h, w) float32 in [0, 1], on the classifier's device.
        labels: (n,) int64, true classes.
        draws: of the images, for the random directions.

    Raises:
        ModelError: a gradient is not finite.
    """
    random = draws.uniform("rademacher", tuple(images.shape[1:])).to(images.device)
    across = torch.where(random < 0.5, -1.0, 1.0)
    given = list(zip(images, labels.tolist(), across, strict=True))
    # one at a time: in a batch, sums are taken in another order, and the sign of a tiny gradient turns with them
    return mapped(lambda each: _plane_through(classifier, *each), given, images.device)


def _plane_through(classifier: nn.Module, image: Tensor, label: int, across: Tensor) -> Plane:
    varied = image[None].detach().clone().requires_grad_()
    loss = cross_entropy(classifier(varied), torch.tensor([label], device=image.device))
    (gradient,) = torch.autograd.grad(loss, varied)
    if not bool(torch.isfinite(gradient).all()):
        raise ModelError("the loss has a gradient that is not finite; there is no surface along it")
    return Plane(
        image=image,
        label=label,
        along=gradient[0].sign(),
        across=across,
        center=float(loss.detach()),
        slope_along=float(gradient.abs().sum()),
        slope_across=float((gradient[0] * across).sum()),
    )


def losses_at(classifier: nn.Module, plane: Plane, along: Tensor, across: Tensor) -> Tensor:
    """The loss in float32 at m points, (m,) steps each -> (m,) float32 on the CPU."""
    logits = logits_of_all(classifier, plane.inputs(along, across))
    labels = torch.full((len(logits),), plane.label, device=logits.device)
    return cross_entropy(logits, labels, reduction="none").cpu()


def loss_surfaces(
    classifier: nn.Module, planes: Sequence[Plane], steps: Tensor, *, precision: str, task: Task
) -> Surfaces:
    """The surfaces of all planes over the grid of `steps` by `steps`.

    Args:
        classifier: in eval mode.
        planes: through images, at least one.
        steps: (grid,) float32 in pixel units.
        precision: one of `PRECISIONS`; "auto" is bfloat16 on CPUs that have its products, for networks that have a
            quick copy (`quick_copy`), unless it can be told from float32 by eye; float32 elsewhere.
        task: told of each plane.

    Raises:
        ModelError: the model gives NaN, or its memory is exhausted.
    """
    device = planes[0].image.device
    quick = None
    if precision == "bfloat16" or (precision == "auto" and _has_bfloat16(device)):
        quick = quick_copy(classifier, planes[0].image)
    with running_in("float32", device):  # here, once: threads that set it and set it back would disturb each other
        if quick is None:
            return _in_float32(classifier, planes, steps, task)
        tiles = tiles_of(steps)
        losses = torch.stack(mapped(lambda plane: quick.surface(plane, tiles), planes, device, task.advance))
        points = _checked_points(len(steps))
        deviation = _deviation(classifier, planes, steps, losses.mean(dim=0, dtype=torch.float64), points)
        if precision == "auto" and not deviation <= VISIBLE:
            surfaces = _in_float32(classifier, planes, steps, task)
            return replace(surfaces, deviation=deviation, checked=len(points))
        return Surfaces(
            losses=_require_finite(losses),
            first=torch.cat(mapped(lambda rows: _exact(classifier, planes[0], rows, steps), steps.split(ROWS), device)),
            precision="bfloat16",
            deviation=deviation,
            checked=len(points),
        )


def _in_float32(classifier: nn.Module, planes: Sequence[Plane], steps: Tensor, task: Task) -> Surfaces:
    device = planes[0].image.device
    losses = mapped(lambda plane: _exact(classifier, plane, steps, steps), planes, device, task.advance)
    return Surfaces(
        losses=_require_finite(torch.stack(losses)), first=losses[0], precision="float32", deviation=None, checked=0
    )


def _require_finite(losses: Tensor) -> Tensor:
    if not bool(torch.isfinite(losses).all()):
        raise ModelError("the model gives NaN or infinite losses near its images; there is no surface")
    return losses


def _exact(classifier: nn.Module, plane: Plane, along: Tensor, across: Tensor) -> Tensor:
    """(rows, columns) float32 at (rows,) steps along and (columns,) across."""
    a, b = torch.meshgrid(along, across, indexing="ij")
    return losses_at(classifier, plane, a.flatten(), b.flatten()).view(a.shape)


def _checked_points(grid: int) -> Tensor:
    """(m,) int64 places in the flattened grid, drawn at random but always the same."""
    count = min(grid * grid, max(FEWEST_CHECKED, math.ceil(CHECKED * grid * grid)))
    return torch.randperm(grid * grid, generator=Generator().manual_seed(0))[:count]


def _deviation(classifier: nn.Module, planes: Sequence[Plane], steps: Tensor, mean: Tensor, points: Tensor) -> float:
    """Largest deviation of a mean surface, (grid, grid) float64, from float32 at `points`, in shares of its range."""
    along, across = steps[points // len(steps)], steps[points % len(steps)]
    exact = torch.stack(
        mapped(lambda plane: losses_at(classifier, plane, along, across), planes, planes[0].image.device)
    )
    largest = (mean.flatten()[points] - exact.mean(dim=0, dtype=torch.float64)).abs().max()
    return float(largest / (mean.max() - mean.min()).clamp_min(torch.finfo(torch.float32).tiny))


def _has_bfloat16(device: torch.device) -> bool:
    """A CPU that multiplies bfloat16; elsewhere it is slower than float32, or float32 is quick enough."""
    known = torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    return any(known.get(name) for name in ("avx512_bf16", "amx_bf16"))
