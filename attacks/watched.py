"""A classifier and the detector that watches it, as attacks see them that know both.

Sources: Carlini & Wagner 2017, arXiv:1705.07263, section 2.2 (the white-box attacker who knows the detector); Tramer
et al. 2020, arXiv:2002.08347.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from attacks.errors import RequestError
from attacks.goal import Goal, Logits
from attacks.probe import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a watched model makes of m images; differentiable where the model is.

    logits: (m, classes) float32.
    suspicion: (m,) float32, above 0 where the detector raises the alarm; in spreads of clean images' log-odds.
    representation: (m, d) float, the layer that the detector looks at, or the last hidden one.
    """

    logits: Tensor
    suspicion: Tensor
    representation: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Guides:
    """Clean images that the classifier gets right and the detector accepts, to be imitated.

    images: (g, c, h, w) float32 in [0, 1]; classes: (g,) int64; representations: (g, d) float.
    """

    images: Tensor
    classes: Tensor
    representations: Tensor


class Watched(Protocol):
    """A classifier and its detector. Without gradients through the score only `seen.logits` may be differentiated."""

    @property
    def is_differentiable(self) -> bool:
        """Whether the suspicion has gradients."""

    @property
    def guides(self) -> Guides:
        """Images to be imitated."""

    def __call__(self, images: Tensor) -> Seen:
        """Images (m, c, h, w) float32 in [0, 1] -> what is seen of them."""


JointObjective = Callable[[Seen, Goal], Tensor]
"""(what is seen of m images, goal of these images) -> (m,), to be ascended."""


def seen_margin(seen: Seen, goal: Goal) -> Tensor:
    """The goal's margin, (m,) in logit units: deceive the classifier."""
    return goal.margin(seen.logits)


def innocence(seen: Seen, _goal: Goal) -> Tensor:
    """Minus the suspicion, (m,): deceive the detector."""
    return -seen.suspicion


@dataclass(frozen=True, slots=True, kw_only=True)
class JointLook:
    """What was seen of m images, detached.

    margin: (m,) of the goal, in logit units; suspicion: (m,), see `Seen`.
    losses: (m,) an objective; gradients: (m, c, h, w) an objective, with respect to the images.
    """

    margin: Tensor
    suspicion: Tensor
    losses: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]


class WatchedProbe(Probe):
    """A probe that sees the detector, too. Everything is float32, whatever the precision of other attacks' passes.

    Args:
        logits_of: the classifier.
        goal: of all n images.
        sample_ids: (n,) int64.
        watched: classifier and detector.
        traced: keep loss and margin of every look.
        expectation: looks that are averaged, for parts that draw random numbers at inference (Athalye et al. 2018,
            arXiv:1802.00420, section 4.2); all deterministic ones need one.
    """

    def __init__(
        self,
        logits_of: Logits,
        goal: Goal,
        sample_ids: Tensor,
        *,
        watched: Watched,
        traced: bool = False,
        expectation: int = 1,
    ) -> None:
        super().__init__(logits_of, goal, sample_ids, traced=traced)
        self.watched = watched
        self._expectation = expectation

    def select(self, rows: Tensor) -> "WatchedProbe":
        """As `Probe.select`."""
        return WatchedProbe(
            self._logits_of,
            self.goal.select(rows),
            self._sample_ids[rows.cpu()],
            watched=self.watched,
            traced=self._looks is not None,
            expectation=self._expectation,
        )

    @property
    def sample_ids(self) -> Tensor:
        """(n,) int64, what errors call the images."""
        return self._sample_ids

    def see(self, images: Tensor, rows: Tensor, *, step: int) -> JointLook:
        """Margin and suspicion without gradients; arguments as `Probe.logits`."""
        return self.climb(images, rows, (), step=step)

    def climb(self, images: Tensor, rows: Tensor, objectives: Sequence[JointObjective], *, step: int) -> JointLook:
        """Margin, suspicion, and loss and gradient of each objective; arguments as `Probe.logits`.

        Raises:
            ModelError: a logit, a score or a gradient is NaN or infinite.
        """
        looks = [self._once(images, rows, objectives, step) for _ in range(self._expectation)]
        margin, suspicion = (_mean([getattr(look, name) for look in looks]) for name in ("margin", "suspicion"))
        losses = tuple(_mean(list(each)) for each in zip(*(look.losses for look in looks), strict=True))
        gradients = tuple(_mean(list(each)) for each in zip(*(look.gradients for look in looks), strict=True))
        for gradient in gradients:
            largest = gradient.flatten(1).abs().amax(dim=1)
            self._require_finite(largest, rows, step, "gradients")
            self._asked[rows] = True
            self._answered[rows] |= largest > 0
        self._note(step, rows, margin[:, None], losses[0] if losses else margin, margin)
        return JointLook(margin=margin, suspicion=suspicion, losses=losses, gradients=gradients)

    def _once(self, images: Tensor, rows: Tensor, objectives: Sequence[JointObjective], step: int) -> JointLook:
        goal = self.goal.select(rows)
        self.passes += len(images)
        images = images.detach().requires_grad_(bool(objectives))
        with torch.set_grad_enabled(bool(objectives)):
            seen = self.watched(images)
            self._require_finite(seen.logits.detach().sum(dim=1), rows, step, "logits")
            self._require_finite(seen.suspicion.detach(), rows, step, "detector scores")
            losses = [objective(seen, goal) for objective in objectives]
        gradients = [
            torch.autograd.grad(loss.sum(), images, retain_graph=number + 1 < len(losses))[0]
            for number, loss in enumerate(losses)
        ]
        return JointLook(
            margin=goal.margin(seen.logits).detach(),
            suspicion=seen.suspicion.detach(),
            losses=tuple(loss.detach() for loss in losses),
            gradients=tuple(gradients),
        )


def require_watched(probe: Probe) -> WatchedProbe:
    """The probe of an attack that knows the detector.

    Raises:
        RequestError: there is no detector.
    """
    if not isinstance(probe, WatchedProbe):
        raise RequestError("this attack deceives a detector; a bare classifier has none: take --attack pgd or cw")
    return probe


def require_gradients_of(probe: WatchedProbe, name: str) -> None:
    """Raise `RequestError` when the detector's score has no gradients, which the attack called `name` follows."""
    if not probe.watched.is_differentiable:
        raise RequestError(
            f"{name} follows the gradient of the detector's score, and this detector offers none; "
            "take --attack adaptive, which then searches without it"
        )


def _mean(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.stack(tensors).mean(dim=0)
