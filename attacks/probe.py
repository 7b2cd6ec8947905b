"""How an attack looks at a model: logits, margins and input gradients, checked as they come, and traced on request.

Every attack looks through a probe, so that NaN, vanishing gradients and low precision are dealt with in one place.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.errors import ModelError
from attacks.goal import Goal, Logits
from attacks.losses import cross_entropy_loss
from attacks.precision import running_in

SURE = 1e-3  # logit units
MOST_NAMED = 10  # images that an error names

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
    """Loss and margin of every image at every step, (n, steps) float32; NaN where an image was not looked at."""

    loss: Tensor
    margin: Tensor


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
        self._logits_of = logits_of
        self._sample_ids = sample_ids
        self._precision = precision
        self._looks: list[tuple[int, Tensor, Tensor, Tensor]] | None = [] if traced else None
        self._asked = torch.zeros(len(sample_ids), dtype=torch.bool)
        self._answered = torch.zeros(len(sample_ids), dtype=torch.bool)

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
        with torch.no_grad(), running_in(self._precision, images.device):
            logits = self._forward(images, rows, step)
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
            logits = self._forward(images, rows, step)
            loss = objective(logits, goal)
            (gradient,) = torch.autograd.grad(loss.sum(), images)
        largest = gradient.flatten(1).abs().amax(dim=1)  # (m,); NaN stays NaN
        self._require_finite(largest, rows, step, "gradients")
        asked = rows.cpu()
        self._asked[asked] = True
        self._answered[asked] |= (largest > 0).cpu()
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
        broken = margin > SURE
        if self._precision == "float32" or not bool(broken.any()):
            return broken
        with torch.no_grad(), running_in("float32", images.device):
            logits = self._forward(images[broken], rows[broken], 0)
        checked = torch.zeros_like(broken)
        checked[broken] = self.goal.select(rows[broken]).margin(logits) > SURE
        return checked

    @property
    def vanished(self) -> Tensor:
        """(n,) bool on the CPU: gradients were asked for, and every one of them was exactly zero."""
        return self._asked & ~self._answered

    def trace(self) -> Trace | None:
        """Everything seen so far, a column a step; None unless `traced`."""
        if self._looks is None:
            return None
        steps = 1 + max((step for step, *_ in self._looks), default=-1)
        loss = torch.full((len(self._sample_ids), steps), torch.nan)
        margin = loss.clone()
        for step, rows, losses, margins in self._looks:
            loss[rows, step], margin[rows, step] = losses, margins
        return Trace(loss=loss, margin=margin)

    def _forward(self, images: Tensor, rows: Tensor, step: int) -> Tensor:
        self.passes += len(images)
        logits = self._logits_of(images).float()
        self._require_finite(logits.detach().sum(dim=1), rows, step, "logits")
        return logits

    def _require_finite(self, values: Tensor, rows: Tensor, step: int, what: str) -> None:
        finite = torch.isfinite(values)
        if bool(finite.all()):
            return
        images = self._sample_ids[rows[~finite].cpu()].tolist()
        named = ", ".join(str(image) for image in images[:MOST_NAMED])
        more = f" and {len(images) - MOST_NAMED} more" if len(images) > MOST_NAMED else ""
        raise ModelError(f"the model gives NaN or infinite {what} at step {step} for test images {named}{more}")

    def _note(
        self, step: int, rows: Tensor, logits: Tensor, loss: Tensor | None = None, margin: Tensor | None = None
    ) -> None:
        if self._looks is None:
            return
        goal = self.goal.select(rows)
        loss = cross_entropy_loss(logits, goal) if loss is None else loss
        margin = goal.margin(logits) if margin is None else margin
        self._looks.append((step, rows.cpu(), loss.cpu(), margin.cpu()))
