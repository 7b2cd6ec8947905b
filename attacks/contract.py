"""What every attack takes and gives, and the checks made once for all of them.

An attack is one function: (probe, images, frozen config, draws) -> images. The probe holds the model and the goal.
The attack decides nothing about success: `craft` measures margins and distances of what came back, and the harness
judges again from stored images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from attacks.draws import Draws
from attacks.errors import AttackError, ModelError, RequestError
from attacks.goal import Goal, Logits, reached
from attacks.losses import cross_entropy_loss
from attacks.norms import l2_distance, linf_distance
from attacks.precision import running_in
from attacks.probe import Objective, Probe, Trace
from attacks.watched import Watched, WatchedProbe

UNTIL = ("success", "end")
"""When work on an image ends: as soon as it is broken, or after every step, as papers plot."""

Attack = Callable[[Probe, Tensor, Any, Draws], Tensor]
"""(probe of model and goal, images, config, draws) -> adversarial images (n, c, h, w) float32 in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackEntry:
    """A registered attack.

    name: the word a user types.
    summary: one line for `bench list`.
    source: paper and section.
    config: the frozen dataclass of its options; its field names are the command line's options.
    attack: the function.
    needs_logits: it works on margins, which probabilities bound to 1: such a model is refused.
    follows_gradients: it says nothing of a model whose gradients vanish.
    members: names of the attacks whose worst it gives back, by the numbers that it credits them with.
    climbs: the loss whose gradients it follows, for a look at those that another library does not show.
    is_aware: it deceives a detector, too, and is given a `WatchedProbe`.
    """

    name: str
    summary: str
    source: str
    config: type
    attack: Attack
    needs_logits: bool = False
    follows_gradients: bool = True
    members: tuple[str, ...] = ()
    climbs: Objective = cross_entropy_loss
    is_aware: bool = False

    def by(self, attack: Attack) -> "AttackEntry":
        """The same entry with another implementation of the attack."""
        return replace(self, attack=attack)


@dataclass(frozen=True, slots=True, kw_only=True)
class CraftedBatch:
    """What an attack made of a batch.

    images: (n, c, h, w) float32 in [0, 1]; the clean image where a minimum-norm attack found nothing.
    success: (n,) bool, whether the goal is met with the confidence asked for.
    margin: (n,) float32, the goal's margin in logit units.
    l2, linf: (n,) float32, distances to the clean image in pixel units.
    vanished: (n,) bool on the CPU, every gradient that the attack asked for was exactly zero; of another library's
        attack, that of the clean image is, and the goal was not met.
    passes: images that went forward through the model, the measurements here not counted.
    trace: loss and margin at every step, when asked for.
    made_by: (n,) int8 on the CPU, which of the entry's members made each image; None where it has none.
    """

    images: Tensor
    success: Tensor
    margin: Tensor
    l2: Tensor
    linf: Tensor
    vanished: Tensor
    passes: int
    trace: Trace | None = None
    made_by: Tensor | None = None


def craft(
    entry: AttackEntry,
    logits_of: Logits,
    images: Tensor,
    goal: Goal,
    config: Any,
    draws: Draws,
    *,
    precision: str = "float32",
    traced: bool = False,
    watched: Watched | None = None,
) -> CraftedBatch:
    """Check the request, run the attack, check and measure what came back.

    Args:
        entry: which attack.
        logits_of: the model, in eval mode when it is a module.
        images: (n, c, h, w) float32 in [0, 1].
        goal: what is wanted of each image.
        config: an instance of `entry.config`.
        draws: the images' random numbers.
        precision: of the attack's passes; the measurements here are float32 always.
        traced: keep loss and margin of every step.
        watched: the model with its detector, for attacks that know both.

    Raises:
        ModelError: the model is in train mode, gives other than (n, classes) finite logits, gives
            probabilities to an attack that needs logits, or gives NaN or infinite values on the way.
        RequestError: images or classes are out of range.
        AttackError: the attack gave back NaN or another shape.
    """
    images = images.detach()
    with torch.no_grad(), running_in("float32", images.device):
        logits = logits_of(check_images(images))
    check_model(logits_of, logits, needs_logits=entry.needs_logits)
    check_classes(goal.classes, len(images), logits.shape[1])
    probe = Probe(logits_of, goal, draws.sample_ids, precision=precision, traced=traced)
    if entry.is_aware:
        if watched is None:
            raise RequestError(f"{entry.name} deceives a detector; a bare classifier has none")
        expectation = getattr(config, "expectation", 1)
        probe = WatchedProbe(logits_of, goal, draws.sample_ids, watched=watched, traced=traced, expectation=expectation)
    with running_in("tf32" if precision == "tf32" else "float32", images.device):  # also what a backend does by itself
        crafted = entry.attack(probe, images, config, draws).detach()
    if crafted.shape != images.shape or not bool(torch.isfinite(crafted).all()):
        raise AttackError(f"the attack {entry.name} gave back images of another shape or with NaN; this is a bug in it")
    with torch.no_grad(), running_in("float32", images.device):
        margin = goal.margin(logits_of(crafted))
    success = reached(margin, getattr(config, "confidence", 0.0))
    vanished = probe.vanished
    if entry.follows_gradients and len(images) and not probe.was_asked:  # it looked past the probe
        vanished = _vanished_at(images, logits_of, goal, entry.climbs, draws) & ~success.cpu()
    return CraftedBatch(
        images=crafted,
        success=success,
        margin=margin,
        l2=l2_distance(crafted, images),
        linf=linf_distance(crafted, images),
        vanished=vanished,
        passes=probe.passes,
        trace=probe.trace(),
        made_by=None if probe.made_by is None else probe.made_by.cpu(),
    )


def _vanished_at(images: Tensor, logits_of: Logits, goal: Goal, objective: Objective, draws: Draws) -> Tensor:
    """Where the objective's gradient is exactly zero at (n, c, h, w) images: (n,) bool on the CPU."""
    probe = Probe(logits_of, goal, draws.sample_ids)
    probe.gradient(images, torch.arange(len(images), device=images.device), objective, step=0)
    return probe.vanished


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
