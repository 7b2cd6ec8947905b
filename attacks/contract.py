"""What every attack takes and gives, and the checks made once for all of them.

An attack is one function: (logits function, images, goal, frozen config, draws) -> images. It decides nothing about
success: `craft` measures margins and distances of what came back, and the harness judges again from stored images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.draws import Draws
from attacks.errors import AttackError, ModelError, RequestError
from attacks.margins import class_margin
from attacks.norms import l2_distance, linf_distance

Logits = Callable[[Tensor], Tensor]
"""Differentiable: (n, c, h, w) float32 in [0, 1] -> (n, classes) float32 logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What an attack wants of each image.

    classes: (n,) int64, the true classes to get away from, or, when `targeted`, the classes to be taken for.
    targeted: which of the two.
    """

    classes: Tensor
    targeted: bool = False

    def margin(self, logits: Tensor) -> Tensor:
        """(n, classes) logits -> (n,) in logit units; positive where the goal is met, with that confidence."""
        margin = class_margin(logits, self.classes)
        return margin if self.targeted else -margin

    def loss(self, logits: Tensor) -> Tensor:
        """(n, classes) logits -> (n,) to be ascended: cross-entropy of the true class, or minus the target's."""
        loss = cross_entropy(logits, self.classes, reduction="none")
        return -loss if self.targeted else loss

    def select(self, indices: Tensor) -> "Goal":
        """The goals of the images at `indices`, an (m,) int64 or (n,) bool tensor."""
        return Goal(classes=self.classes[indices], targeted=self.targeted)


Attack = Callable[[Logits, Tensor, Goal, Any, Draws], Tensor]
"""(logits function, images, goal, config, draws) -> adversarial images (n, c, h, w) float32 in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackEntry:
    """A registered attack.

    name: the word a user types.
    summary: one line for `bench list`.
    source: paper and section.
    config: the frozen dataclass of its options; its field names are the command line's options.
    attack: the function.
    needs_logits: it works on margins, which probabilities bound to 1: such a model is refused.
    """

    name: str
    summary: str
    source: str
    config: type
    attack: Attack
    needs_logits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CraftedBatch:
    """What an attack made of a batch.

    images: (n, c, h, w) float32 in [0, 1]; the clean image where a minimum-norm attack found nothing.
    success: (n,) bool, whether the goal is met with the confidence asked for.
    margin: (n,) float32, the goal's margin in logit units.
    l2, linf: (n,) float32, distances to the clean image in pixel units.
    """

    images: Tensor
    success: Tensor
    margin: Tensor
    l2: Tensor
    linf: Tensor


def craft(entry: AttackEntry, logits_of: Logits, images: Tensor, goal: Goal, config: Any, draws: Draws) -> CraftedBatch:
    """Check the request, run the attack, check and measure what came back.

    Args:
        entry: which attack.
        logits_of: the model, in eval mode when it is a module.
        images: (n, c, h, w) float32 in [0, 1].
        goal: what is wanted of each image.
        config: an instance of `entry.config`.
        draws: the images' random numbers.

    Raises:
        ModelError: the model is in train mode, gives other than (n, classes) finite logits, or gives
            probabilities to an attack that needs logits.
        RequestError: images or classes are out of range.
        AttackError: the attack gave back NaN or another shape.
    """
    images = images.detach()
    with torch.no_grad():
        logits = logits_of(check_images(images))
    check_model(logits_of, logits, needs_logits=entry.needs_logits)
    check_classes(goal.classes, len(images), logits.shape[1])
    crafted = entry.attack(logits_of, images, goal, config, draws).detach()
    if crafted.shape != images.shape or not bool(torch.isfinite(crafted).all()):
        raise AttackError(f"the attack {entry.name} gave back images of another shape or with NaN; this is a bug in it")
    with torch.no_grad():
        margin = goal.margin(logits_of(crafted))
    return CraftedBatch(
        images=crafted,
        success=reached(margin, getattr(config, "confidence", 0.0)),
        margin=margin,
        l2=l2_distance(crafted, images),
        linf=linf_distance(crafted, images),
    )


def reached(margin: Tensor, confidence: float) -> Tensor:
    """(n,) margins -> (n,) bool: the goal is met (margin > 0) with at least the confidence asked for."""
    return (margin > 0) & (margin >= confidence)


def check_images(images: Tensor) -> Tensor:
    """Return `images` when they are (n, c, h, w) float32 in [0, 1]; raise `RequestError` otherwise."""
    if images.ndim != 4 or images.dtype != torch.float32:
        raise RequestError(f"images must be (n, c, h, w) float32, got {tuple(images.shape)} {images.dtype}")
    if len(images) and not (float(images.min()) >= 0 and float(images.max()) <= 1):
        raise RequestError("images must lie in [0, 1]; normalization belongs inside the network")
    return images


def check_model(logits_of: Logits, logits: Tensor, *, needs_logits: bool) -> None:
    """Raise `ModelError` for a model in train mode, or one whose outputs are no logits."""
    owner = getattr(logits_of, "__self__", logits_of)
    if isinstance(owner, nn.Module) and any(module.training for module in owner.modules()):
        raise ModelError("the model is in train mode; call model.eval() before attacking it")
    if logits.ndim != 2 or logits.shape[1] < 2 or not bool(torch.isfinite(logits).all()):
        raise ModelError(f"the model must give finite logits (n, classes), got {tuple(logits.shape)}")
    if needs_logits and looks_like_probabilities(logits):
        raise ModelError(
            "the model's outputs look like probabilities, whose margins never pass 1; give its logits instead"
        )


def looks_like_probabilities(logits: Tensor) -> bool:
    """Whether every row of (n, classes) is non-negative and sums to one."""
    sums = logits.sum(dim=1)
    return (
        len(logits) > 0 and bool((logits >= 0).all()) and bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-4))
    )


def check_classes(classes: Tensor, images: int, known: int) -> None:
    """Raise `RequestError` unless `classes` is (images,) int64 in [0, known)."""
    if classes.shape != (images,) or classes.dtype != torch.int64:
        raise RequestError(f"classes must be ({images},) int64, got {tuple(classes.shape)} {classes.dtype}")
    if images and not (int(classes.min()) >= 0 and int(classes.max()) < known):
        raise RequestError(f"a class is out of range; the model knows {known} classes, 0 to {known - 1}")
