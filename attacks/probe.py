"""How an attack looks at a model: logits, margins and input gradients, checked as they come, and traced on request.

Every attack looks through a probe, so that NaN, vanishing gradients and low precision are dealt with in one place.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from attacks.errors import ModelError, named_images
from attacks.goal import Goal, Logits, reached
from attacks.layout import channels_last_weights
from attacks.losses import cross_entropy_loss
from attacks.precision import running_in

ROUNDING = 1e-4  # of an image's largest logit: what sums in another order may change
SURE = 1e-3  # logit units
LOW_PRECISION_ERROR = 0.25  # logit units; margins seen in low precision may be wrong by that much

Objective = Callable[[Tensor, Goal], Tensor]
"""(logits (m, classes), goal of these images) -> (m,), to be ascended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of m images; all of it detached.

    margin: (m,) float32, the goal's margin in logit units.
    logits: (m, classes) float32.
    loss: (m,) float32, the objective's value.
    gradient: (m, c, h, w) float32, of the loss with respect to the images.
    """

    margin: Tensor
    logits: Tensor
    loss: Tensor
    gradient: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Loss and margin of every image at every step, (n, steps) float32; NaN where an image was not looked at.

    parts: of the attack, each as (first step, name), in rising order.
    """

    loss: Tensor
    margin: Tensor
    parts: tuple[tuple[int, str], ...] = ()

    def joined(self, other: "Trace") -> "Trace":
        """The traces of these images and then of the other ones; the shorter is filled up with NaN."""
        steps = max(self.loss.shape[1], other.loss.shape[1])
        filled = [
            pad(part, (0, steps - part.shape[1]), value=torch.nan)
            for part in (self.loss, other.loss, self.margin, other.margin)
        ]
        parts = tuple(sorted({*self.parts, *other.parts}))
        return Trace(loss=torch.cat(filled[:2]), margin=torch.cat(filled[2:]), parts=parts)


class Probe:
    """A model under attack, seen image by image.

    Args:
        logits_of: the model, (n, c, h, w) -> (n, classes).
        goal: of all n images.
        sample_ids: (n,) int64, what errors call the images.
        precision: of the model's passes (`attacks.precision`).
        traced: keep loss and margin of every look.
    """

    def __init__(
        self, logits_of: Logits, goal: Goal, sample_ids: Tensor, *, precision: str = "float32", traced: bool = False
    ) -> None:
        self.goal = goal
        self.passes = 0  # images that went through the model, forward
        self.steps = 0  # one more than the last step looked at
        self.made_by: Tensor | None = None  # (n,) int8, whose result each image is, where an attack has members
        self._parts: dict[int, str] = {}
        self._logits_of = logits_of
        self._largest = torch.zeros_like(goal.classes, dtype=torch.float32)  # logit of each image, in the latest look
        self._quick = channels_last_weights(logits_of, goal.classes.device)
        self._sample_ids = sample_ids
        self._precision = precision
        self._looks: list[tuple[int, Tensor, Tensor, Tensor]] | None = [] if traced else None
        self._asked = torch.zeros_like(goal.classes, dtype=torch.bool)
        self._answered = torch.zeros_like(goal.classes, dtype=torch.bool)

    def select(self, rows: Tensor) -> "Probe":
        """A probe of the images at `rows`, (m,) int64, whose own steps begin at 0; `take_in` brings it back."""
        return Probe(
            self._logits_of,
            self.goal.select(rows),
            self._sample_ids[rows.cpu()],
            precision=self._precision,
            traced=self._looks is not None,
        )

    def begin(self, part: str, step: int) -> None:
        """Name the part of the attack, a restart for instance, that begins with a step."""
        self._parts[step] = part

    def credit(self, rows: Tensor, member: int) -> None:
        """Note by number which member's result the images at `rows`, (m,) int64, are for now."""
        if self.made_by is None:
            self.made_by = torch.full_like(self.goal.classes, -1, dtype=torch.int8)
        self.made_by[rows] = member

    def take_in(self, part: "Probe", rows: Tensor, name: str) -> None:
        """Add what a selected probe saw of the images at `rows`, as steps of that name after all steps so far."""
        self._parts |= {self.steps: name}
        self._parts |= {self.steps + step: f"{name}, {own}" for step, own in part._parts.items()}
        self.passes += part.passes
        self._largest[rows] = part._largest
        self._asked[rows] |= part._asked
        self._answered[rows] |= part._answered
        if self._looks is not None:
            self._looks += [
                (self.steps + step, rows.cpu()[own], loss, margin) for step, own, loss, margin in part._looks or []
            ]
        self.steps += part.steps

    def forward(self, images: Tensor) -> Tensor:
        """The bare model for code that knows no rows: differentiable, counted, neither checked nor traced.

        Args:
            images: (m, c, h, w) float32.

        Returns:
            (m, classes) float32.
        """
        self.passes += len(images)
        with running_in(self._precision, images.device):
            return self._logits_of(images).float()

    def logits(self, images: Tensor, rows: Tensor, *, step: int) -> Tensor:
        """Logits without gradients.

        Args:
            images: (m, c, h, w) float32.
            rows: (m,) int64, which of the n images they are.
            step: of the attack, counted over all its phases; names the look in errors and traces.

        Returns:
            (m, classes) float32.

        Raises:
            ModelError: a logit is NaN or infinite.
        """
        with torch.no_grad():
            logits = self._forward(images, self._precision)
        self._require_finite(logits.sum(dim=1), rows, step, "logits")
        self._note(step, rows, logits)
        return logits

    def margin(self, images: Tensor, rows: Tensor, *, step: int) -> Tensor:
        """The goal's margin without gradients: arguments as `logits`, returns (m,) float32."""
        return self.goal.select(rows).margin(self.logits(images, rows, step=step))

    def gradient(self, images: Tensor, rows: Tensor, objective: Objective, *, step: int) -> Look:
        """Margin, loss and the loss's gradient; arguments as `logits`.

        Raises:
            ModelError: a logit or a gradient is NaN or infinite.
        """
        goal = self.goal.select(rows)
        images = images.detach().requires_grad_()
        with running_in(self._precision, images.device):
            logits = self._forward(images, self._precision)
            self._require_finite(logits.detach().sum(dim=1), rows, step, "logits")
            loss = objective(logits, goal)
            (gradient,) = torch.autograd.grad(loss.sum(), images)
        largest = gradient.flatten(1).abs().amax(dim=1)  # (m,); NaN stays NaN
        self._require_finite(largest, rows, step, "gradients")
        self._asked[rows] = True
        self._answered[rows] |= largest > 0
        logits, loss = logits.detach(), loss.detach()
        margin = goal.margin(logits)
        self._note(step, rows, logits, loss, margin)
        return Look(margin=margin, logits=logits, loss=loss, gradient=gradient)

    def is_broken(self, images: Tensor, rows: Tensor, margin: Tensor) -> Tensor:
        """Where the goal is met beyond doubt, (m,) bool, so that work on these images may end.

        Beyond doubt means by more than float32 sums differ between batch shapes; after passes of low precision the
        margin is measured again in float32 first.

        Args:
            images: (m, c, h, w) float32.
            rows: (m,) int64.
            margin: (m,) float32, as seen in the probe's precision.
        """
        broken = margin > (ROUNDING * self._largest[rows]).clamp(min=SURE)
        return self._confirmed(images, rows, broken, SURE)

    def has_reached(
        self, images: Tensor, rows: Tensor, margin: Tensor, confidence: float, wanted: Tensor | None = None
    ) -> Tensor:
        """Where the goal is met with a confidence, (m,) bool; after passes of low precision, measured in float32.

        Args:
            images: (m, c, h, w) float32.
            rows: (m,) int64.
            margin: (m,) float32, as seen in the probe's precision.
            confidence: in logit units.
            wanted: (m,) bool, images for which the answer matters; others may be answered from `margin` alone.
        """
        met = reached(margin, confidence)
        if self._precision == "float32":
            return met
        near = margin > confidence - LOW_PRECISION_ERROR
        asked = near if wanted is None else near & wanted
        return torch.where(asked, self._confirmed(images, rows, asked, confidence), met & ~asked)

    def _confirmed(self, images: Tensor, rows: Tensor, candidates: Tensor, least: float) -> Tensor:
        """Which of the candidates, (m,) bool, have a margin of at least `least` in float32."""
        if self._precision == "float32" or not bool(candidates.any()):
            return candidates
        with torch.no_grad():
            logits = self._forward(images[candidates], "float32")
        confirmed = torch.zeros_like(candidates)
        confirmed[candidates] = reached(self.goal.select(rows[candidates]).margin(logits), least)
        return confirmed

    @property
    def vanished(self) -> Tensor:
        """(n,) bool on the CPU: gradients were asked for, and every one of them was exactly zero."""
        return (self._asked & ~self._answered).cpu()

    @property
    def was_asked(self) -> bool:
        """Whether a gradient was asked for, of any image."""
        return bool(self._asked.any())

    def trace(self) -> Trace | None:
        """Everything seen so far, a column a step; None unless `traced`."""
        if self._looks is None:
            return None
        loss = torch.full((len(self._sample_ids), self.steps), torch.nan)
        margin = loss.clone()
        for step, rows, losses, margins in self._looks:
            loss[rows, step], margin[rows, step] = losses, margins
        return Trace(loss=loss, margin=margin, parts=tuple(sorted(self._parts.items())))

    def _forward(self, images: Tensor, precision: str) -> Tensor:
        self.passes += len(images)
        with running_in(precision, images.device):
            return self._quick(images).float()

    def _require_finite(self, values: Tensor, rows: Tensor, step: int, what: str) -> None:
        finite = torch.isfinite(values)
        if bool(finite.all()):
            return
        images = self._sample_ids[rows[~finite].cpu()].tolist()
        raise ModelError(f"the model gives NaN or infinite {what} at step {step} for images {named_images(images)}")

    def _note(
        self, step: int, rows: Tensor, logits: Tensor, loss: Tensor | None = None, margin: Tensor | None = None
    ) -> None:
        self.steps = max(self.steps, step + 1)
        self._largest[rows] = logits.abs().amax(dim=1)
        if self._looks is None:
            return
        goal = self.goal.select(rows)
        loss = cross_entropy_loss(logits, goal) if loss is None else loss
        margin = goal.margin(logits) if margin is None else margin
        self._looks.append((step, rows.cpu(), loss.cpu(), margin.cpu()))
