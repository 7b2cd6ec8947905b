"""Gradients at clean images: zero, exploding, or pointing nowhere.

Source: Athalye et al. 2018, arXiv:1802.00420, section 3 (obfuscated gradients); Pintor et al. 2022, arXiv:2106.09947
(unavailable gradients); AutoAttack's code (zero gradients).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.goal import Goal
from attacks.losses import cross_entropy_loss, margin_loss
from attacks.precision import running_in
from bench.sanity.contract import Case, Check, Evidence
from bench.sanity.outputs import FEW

MOST_VANISHING = 0.1  # share of the images; single ones vanish in honest networks with dead units
LARGEST = 1e4  # L2 norm, logit units per pixel unit: one gray level of one pixel would move a logit by 40
SMALL_MOVE = 0.01  # pixel units, 2.5 gray levels: quantization of 8 bits does not hide it, curvature is small
KEPT = 0.1  # of the rise that the gradient promises, or its inverse; honest networks keep most of it
MOST_BROKEN = 0.5  # share of the images whose gradient breaks its promise
ROUNDING = 1e-5  # of the largest logit


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradients:
    """Of m images: of cross-entropy and margin, (m, c, h, w); their margins (m,) and largest logits (m,)."""

    loss: Tensor
    margin: Tensor
    margins: Tensor
    largest: Tensor


def _gradients(case: Case) -> Gradients:
    return case.once("gradients", lambda: _take(case))


def _take(case: Case) -> Gradients:
    images = case.images[:FEW].clone().requires_grad_()
    goal = Goal(classes=case.labels[:FEW])
    with torch.enable_grad(), running_in("float32", images.device):
        logits = case.model(images).float()
        taken = [_gradient(objective(logits, goal).sum(), images) for objective in (cross_entropy_loss, margin_loss)]
    logits = logits.detach()
    return Gradients(loss=taken[0], margin=taken[1], margins=goal.margin(logits), largest=logits.abs().amax(dim=1))


def _gradient(loss: Tensor, images: Tensor) -> Tensor:
    """Zeros where nothing flows from the loss to the images."""
    if not loss.requires_grad:
        return torch.zeros_like(images)
    (gradient,) = torch.autograd.grad(loss, images, retain_graph=True, allow_unused=True)
    return torch.zeros_like(images) if gradient is None else gradient


def _norms(gradient: Tensor) -> Tensor:
    norms: Tensor = gradient.flatten(1).norm(dim=1)
    return norms


def _vanishing(case: Case) -> Evidence | None:
    attacked = case.metrics.get("gradients_vanish")
    if attacked and (attacked["value"] or 0) > MOST_VANISHING:
        count, n = attacked["successes"], attacked["n"]
        return Evidence(
            sentence=f"the loss gradient is exactly zero at every step of the attack for {count} of {n} images that it "
            "had to move",
            images=tuple(case.outcomes["sample_id"][case.outcomes["gradient"] == "vanished"].tolist()),
            numbers={"vanished": float(count), "n": float(n)},
        )
    zero = _norms(_gradients(case).loss) == 0
    if float(zero.float().mean()) <= MOST_VANISHING:
        return None
    return Evidence(
        sentence=f"the gradient of cross-entropy is exactly zero at {int(zero.sum())} of {len(zero)} clean images",
        images=tuple(case.sample_ids[: len(zero)][zero.cpu()].tolist()),
        numbers={"vanished": float(zero.sum()), "n": float(len(zero))},
    )


def _exploding(case: Case) -> Evidence | None:
    found = _gradients(case)
    norms = torch.maximum(_norms(found.loss), _norms(found.margin))
    explodes = ~(norms <= LARGEST)
    if not bool(explodes.any()):
        return None
    largest = float(norms[norms.isfinite()].max()) if bool(norms.isfinite().any()) else LARGEST
    return Evidence(
        sentence=f"gradients of {int(explodes.sum())} of {len(norms)} images are longer than {LARGEST:g} logit units "
        f"per pixel unit or not finite, up to {largest:.3g}",
        images=tuple(case.sample_ids[: len(norms)][explodes.cpu()].tolist()),
        numbers={"largest": largest, "images": float(explodes.sum())},
    )


def _misleading(case: Case) -> Evidence | None:
    found, images = _gradients(case), case.images[:FEW]
    moved = (images + SMALL_MOVE * found.margin.sign()).clamp(0, 1)
    promised = (found.margin * (moved - images)).flatten(1).sum(dim=1)  # (m,)
    with torch.no_grad(), running_in("float32", images.device):
        rise = Goal(classes=case.labels[:FEW]).margin(case.model(moved).float()) - found.margins
    telling = promised > 10 * ROUNDING * found.largest
    broken = telling & ~((rise > KEPT * promised) & (rise < promised / KEPT))
    if not bool(telling.any()) or float(broken.sum()) <= MOST_BROKEN * float(telling.sum()):
        return None
    kept = float((rise[telling] / promised[telling]).median())
    return Evidence(
        sentence=f"for {int(broken.sum())} of {int(telling.sum())} images {SMALL_MOVE:g} along the gradient's sign "
        f"change the margin by less than a tenth, or more than tenfold, of what it promises (median {kept:.2g} of it)",
        images=tuple(case.sample_ids[: len(broken)][broken.cpu()].tolist()),
        numbers={"kept": kept, "broken": float(broken.sum()), "n": float(telling.sum())},
    )


def _follows_none(case: Case) -> str:
    is_blind = not case.entry.follows_gradients and not case.entry.members
    return "the attack follows no gradients" if is_blind else ""


VANISHING = Check(
    name="vanishing-gradients",
    summary="the loss gradient is exactly zero for more than a tenth of the images",
    source="Athalye et al. 2018, arXiv:1802.00420, section 3; AutoAttack's code",
    advice="Attack with a loss that large logits do not flatten (--attack apgd-dlr) and without gradients (square).",
    find=_vanishing,
    excused=_follows_none,
)
EXPLODING = Check(
    name="exploding-gradients",
    summary="gradients are longer than 1e4 logit units per pixel unit, or not finite",
    source="Athalye et al. 2018, arXiv:1802.00420, section 3",
    advice="Scale the logits down, replace what makes the gradients explode by something smooth (BPDA), attack again.",
    find=_exploding,
    excused=_follows_none,
)
MISLEADING = Check(
    name="misleading-gradients",
    summary="a small move along the gradient does not change the margin as the gradient says",
    source="Athalye et al. 2018, arXiv:1802.00420, section 3.1 (shattered gradients)",
    advice="Look for detached, rounded or replaced layers; differentiate a smooth stand-in (BPDA) or take square.",
    find=_misleading,
    excused=_follows_none,
)
CHECKS = (VANISHING, EXPLODING, MISLEADING)
