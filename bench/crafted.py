"""What an attack leaves behind, as the store keeps it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attacks.probe import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Crafted:
    """What an attack made of n images.

    images: (n, c, h, w) float32 in [0, 1], on the victims' device. Whether they succeed is for the judge to say.
    vanished: (n,) bool, every gradient that the attack asked for was exactly zero (see `attacks.contract`).
    trace: loss and margin of every step, when they were asked for.
    made_by: (n,) int8, which of the attack's members made each image; None where it has none.
    keys: of the stored chunks, in order; empty for what is not stored.
    """

    images: Tensor
    vanished: Tensor
    trace: Trace | None = None
    made_by: Tensor | None = None
    keys: tuple[str, ...] = ()

    def part(self, part: slice) -> "Crafted":
        """Of consecutive images."""
        trace = self.trace and replace(self.trace, loss=self.trace.loss[part], margin=self.trace.margin[part])
        made_by = None if self.made_by is None else self.made_by[part]
        return Crafted(images=self.images[part], vanished=self.vanished[part], trace=trace, made_by=made_by)

    def joined(self, other: "Crafted") -> "Crafted":
        """These images and then the other ones; traces and members where both know them."""
        trace, made_by = None, None
        if self.trace is not None and other.trace is not None:
            trace = self.trace.joined(other.trace)
        if self.made_by is not None and other.made_by is not None:
            made_by = torch.cat([self.made_by, other.made_by])
        return Crafted(
            images=torch.cat([self.images, other.images]),
            vanished=torch.cat([self.vanished, other.vanished]),
            trace=trace,
            made_by=made_by,
        )
