"""Small watched models: a classifier, and a detector with or without gradients."""

import torch
from torch import Generator, Tensor

from attacks.goal import Logits
from attacks.watched import Guides, Seen


class SmallWatched:
    """A classifier whose suspicion is a linear function of the pixels, and whose representation is its logits.

    Args:
        logits_of: the classifier.
        direction: (c, h, w), the suspicion's weights.
        threshold: of the weighted sum, from which on it is above 0.
        guides: clean images, (g, c, h, w).
        is_differentiable: whether the suspicion has gradients.
        noise: standard deviation of what every look adds to the suspicion.
    """

    def __init__(
        self,
        logits_of: Logits,
        direction: Tensor,
        threshold: float,
        guides: Tensor,
        *,
        is_differentiable: bool = True,
        noise: float = 0.0,
    ) -> None:
        self.logits_of = logits_of
        self.direction = direction
        self.threshold = threshold
        self.is_differentiable = is_differentiable
        self._noise = noise
        self._generator = Generator().manual_seed(0)
        with torch.no_grad():
            logits = logits_of(guides).float()
        self.guides = Guides(images=guides, classes=logits.argmax(dim=1), representations=logits)

    def __call__(self, images: Tensor) -> Seen:
        logits = self.logits_of(images).float()
        suspicion = (images * self.direction).flatten(1).sum(dim=1) - self.threshold
        if self._noise:
            suspicion = suspicion + self._noise * torch.randn(len(images), generator=self._generator)
        if not self.is_differentiable:
            suspicion = suspicion.detach()
        return Seen(logits=logits, suspicion=suspicion, representation=logits)


def watched_by_brightness(
    model: Logits, images: Tensor, guides: Tensor, *, is_differentiable: bool = True
) -> SmallWatched:
    """A detector that suspects images brighter than the brightest of `images`."""
    direction = torch.full(images.shape[1:], 1.0)
    threshold = float(images.flatten(1).sum(dim=1).max()) + 0.1
    return SmallWatched(model, direction, threshold, guides, is_differentiable=is_differentiable)
