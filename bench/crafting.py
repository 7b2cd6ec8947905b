"""The third station: adversarial images, in chunks of fixed size, each stored whole under the hash of what made it.

Several chunks pass the model together where memory allows; what comes out does not depend on how many. Other
libraries' results do depend on the batch: they are given one chunk at a time, always.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from attacks.contract import CraftedBatch, craft
from attacks.draws import Draws
from attacks.errors import ModelError
from attacks.goal import Goal, reached
from attacks.probe import Trace
from bench.crafted import Crafted
from bench.fitting import FittedClassifier
from bench.inference import logits_of_all
from bench.memory import BatchSize, is_out_of_memory
from bench.order import Guard, Order, Victims, chunk_identity
from bench.storage.store import Item, Store
from bench.workspace import Workspace

CHUNK = 50  # images; what a killed run loses at most of each batch, and what a worker takes


def craft_all(
    order: Order,
    fitted: FittedClassifier,
    victims: Victims,
    workspace: Workspace,
    *,
    traced: bool = False,
    guard: Guard | None = None,
) -> Crafted:
    """Adversarial images of all victims, from the store where it has them; `traced` keeps loss and margin of each step.

    An attack that knows the detector meets the `guard`.

    Raises:
        ModelError: the gradients of all images that the attack has to move vanish, so that it says nothing; the model
            gives NaN; or too little memory.
    """
    count = len(victims.sample_ids)
    work = _work(order, fitted, victims, workspace, traced=traced, guard=guard)
    batch = BatchSize(workspace.batch_size)
    with workspace.progress.task(f"crafting {order.attack} on {count} images", len(work)) as task:
        for piece in work:
            if piece.find():
                task.advance()
        while missing := [piece for piece in work if piece.item is None]:
            together = max(1, batch.size // CHUNK) if order.is_native else 1
            with _claimed(missing, together) as pieces:
                for piece in pieces:
                    piece.find()
                todo = [piece for piece in pieces if piece.item is None]
                victims_of = [piece.victims for piece in todo]
                made = _craft(order, fitted, victims_of, batch, traced=traced, guard=guard) if todo else []
                for piece, crafted in zip(todo, made, strict=True):
                    piece.save(crafted)
            for _ in pieces:
                task.advance()
    whole = _joined([piece.item for piece in work if piece.item is not None], victims.images)
    require_gradients(order, fitted, victims, whole)
    return replace(whole, keys=tuple(piece.key for piece in work))


@dataclass(slots=True, kw_only=True)
class _Piece:
    """A chunk of images on its way into the store. item: what the store holds, once it is known."""

    victims: Victims
    identity: dict[str, Any]
    key: str
    store: Store
    traced: bool
    item: Item | None = None

    def find(self) -> bool:
        """Look into the store; whether it holds what is needed."""
        item = self.store.load("crafted", self.key)
        lacks_trace = item is not None and self.traced and "trace_loss" not in item.tensors
        self.item = None if lacks_trace else item
        return self.item is not None

    def save(self, crafted: Crafted) -> None:
        """Put what was crafted into the store."""
        tensors = {"images": crafted.images, "vanished": crafted.vanished}
        if crafted.trace is not None:
            tensors |= {"trace_loss": crafted.trace.loss, "trace_margin": crafted.trace.margin}
        if crafted.made_by is not None:
            tensors["made_by"] = crafted.made_by
        details = {"parts": crafted.trace.parts} if crafted.trace is not None else {}
        self.item = self.store.save("crafted", self.key, spec=self.identity, tensors=tensors, details=details)


def _work(
    order: Order,
    fitted: FittedClassifier,
    victims: Victims,
    workspace: Workspace,
    *,
    traced: bool,
    guard: Guard | None,
) -> list[_Piece]:
    count, store, code = len(victims.sample_ids), workspace.store, order.code()
    pieces = []
    for part in torch.arange(count).split(CHUNK) if count else ():
        chunk = victims.select(part)
        identity = chunk_identity(order, code, fitted, chunk) | ({"guard": guard.identity} if guard else {})
        key = store.key("crafted", identity)
        pieces.append(_Piece(victims=chunk, identity=identity, key=key, store=store, traced=traced))
    return pieces


@contextmanager
def _claimed(missing: Sequence[_Piece], together: int) -> Iterator[list[_Piece]]:
    """Claim up to `together` chunks that nobody else works on; if there are none, wait for the first."""
    claims = missing[0].store.claims
    with ExitStack() as held:
        mine: list[_Piece] = []
        for piece in missing:
            if len(mine) < together and held.enter_context(claims.tried(f"crafted-{piece.key}")):
                mine.append(piece)
        if not mine:
            held.enter_context(claims.held(f"crafted-{missing[0].key}"))
            mine = [missing[0]]
        yield mine


def _craft(
    order: Order,
    fitted: FittedClassifier,
    chunks: Sequence[Victims],
    batch: BatchSize,
    *,
    traced: bool,
    guard: Guard | None,
) -> list[Crafted]:
    """Attack several chunks together; what came of each."""
    images = torch.cat([chunk.images for chunk in chunks])
    goal = Goal(classes=torch.cat([chunk.goal.classes for chunk in chunks]), targeted=chunks[0].goal.targeted)
    victims = Victims(images=images, sample_ids=torch.cat([chunk.sample_ids for chunk in chunks]), goal=goal)
    crafted = _craft_what_fits(order, fitted, victims, batch, traced=traced, guard=guard)
    parts, start = [], 0
    for chunk in chunks:
        parts.append(crafted.part(slice(start, start := start + len(chunk.sample_ids))))
    return parts


def _craft_what_fits(
    order: Order,
    fitted: FittedClassifier,
    victims: Victims,
    batch: BatchSize,
    *,
    traced: bool,
    guard: Guard | None,
) -> Crafted:
    """Attack in batches; one that does not fit in memory is halved and tried again, down to a single image.

    Another library is given all victims, one chunk, at once: halving them would change its results.
    """
    if order.is_native:
        count = len(victims.sample_ids)
        parts = batch.run(
            lambda part: attack(order, fitted, victims.select(torch.arange(count)[part]), traced=traced, guard=guard),
            count,
            under=order.attack,
        )
        return reduce(Crafted.joined, map(_kept, parts))
    try:
        return _kept(attack(order, fitted, victims, traced=traced))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"{len(victims.sample_ids)} images do not fit in memory under {order.attack} with --backend "
            f"{order.backend}, whose results depend on how many there are; --backend native takes fewer at a time"
        ) from error


def attack(
    order: Order, fitted: FittedClassifier, victims: Victims, *, traced: bool = False, guard: Guard | None = None
) -> CraftedBatch:
    """Attack all victims at once; nothing is stored."""
    draws = Draws(seed=order.seed, sample_ids=victims.sample_ids)
    return craft(
        order.entry,
        fitted.classifier,
        victims.images,
        victims.goal,
        order.config,
        draws,
        precision=order.precision,
        traced=traced,
        watched=guard.watched if guard else None,
    )


def _kept(crafted: CraftedBatch) -> Crafted:
    """What is stored of a batch; the rest is measured anew from the images."""
    return Crafted(images=crafted.images, vanished=crafted.vanished, trace=crafted.trace, made_by=crafted.made_by)


def _joined(items: Sequence[Item], clean: Tensor) -> Crafted:
    if not items:
        return Crafted(images=clean.clone(), vanished=torch.zeros(0, dtype=torch.bool))
    parts = []
    for item in items:
        tensors, trace = item.tensors, None
        if "trace_loss" in tensors:
            names = tuple((int(step), str(name)) for step, name in item.details.get("parts", ()))
            trace = Trace(loss=tensors["trace_loss"], margin=tensors["trace_margin"], parts=names)
        made_by = tensors.get("made_by")
        parts.append(Crafted(images=tensors["images"], vanished=tensors["vanished"], trace=trace, made_by=made_by))
    whole = reduce(Crafted.joined, parts)
    return replace(whole, images=whole.images.to(clean.device))


def require_gradients(order: Order, fitted: FittedClassifier, victims: Victims, crafted: Crafted) -> None:
    """Raise `ModelError` when the gradients of all images vanish that do not meet the goal as they are."""
    if not order.entry.follows_gradients or not bool(crafted.vanished.any()):
        return
    margin = victims.goal.margin(logits_of_all(fitted.classifier, victims.images))
    unmet = ~reached(margin, getattr(order.config, "confidence", 0.0)).cpu()
    if not bool(unmet.any()) or not bool(crafted.vanished[unmet].all()):
        return
    count, rest = int(unmet.sum()), int((~unmet).sum())
    but = f" that do not meet the goal as they are ({rest} do)" if rest else ""
    raise ModelError(
        f"gradients vanish: the loss gradient is exactly zero for all {count} images{but} at every step, so this "
        "attack cannot say whether the model is robust. Take --attack apgd-dlr, which large logits do not flatten, or "
        "one without gradients: --attack square"
    )
