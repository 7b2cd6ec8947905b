"""The third station: adversarial images, in chunks of fixed size, each stored whole under the hash of what made it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attacks.contract import craft
from attacks.goal import Goal
from attacks.draws import Draws
from attacks.registry import ATTACKS
from bench.code_version import code_version
from bench.fitting import FittedClassifier
from bench.workspace import Workspace

CHUNK = 50  # images; what a killed run loses at most, and what a worker takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Victims:
    """Images to be attacked.

    images: (n, c, h, w) float32 in [0, 1], on the device; sample_ids: (n,) int64, in the test split, on the CPU.
    goal: of each image.
    """

    images: Tensor
    sample_ids: Tensor
    goal: Goal

    def select(self, part: slice) -> "Victims":
        """A consecutive part."""
        indices = torch.arange(len(self.sample_ids))[part]
        return Victims(
            images=self.images[part],
            sample_ids=self.sample_ids[part],
            goal=self.goal.select(indices.to(self.goal.classes.device)),
        )


def craft_all(
    attack: str, config: Any, fitted: FittedClassifier, victims: Victims, seed: int, workspace: Workspace
) -> Tensor:
    """Adversarial images of all victims, from the store where it has them.

    Args:
        attack: registered name.
        config: of the attack.
        fitted: the model attacked.
        victims: images and goals.
        seed: of random starts.
        workspace: holds the store.

    Returns:
        (n, c, h, w) float32 in [0, 1], on the victims' device. Whether they succeed is for the judge to say.
    """
    starts = range(0, len(victims.sample_ids), CHUNK)
    chunks = []
    with workspace.progress.task(f"crafting {attack} on {len(victims.sample_ids)} images", len(starts)) as task:
        for start in starts:
            chunks.append(_chunk(attack, config, fitted, victims.select(slice(start, start + CHUNK)), seed, workspace))
            task.advance()
    return torch.cat(chunks) if chunks else victims.images.clone()


def _chunk(
    attack: str, config: Any, fitted: FittedClassifier, victims: Victims, seed: int, workspace: Workspace
) -> Tensor:
    entry = ATTACKS.get(attack)
    identity = {
        "code": code_version(entry.attack),
        "classifier": fitted.key,
        "attack": attack,
        "config": config,
        "sample_ids": victims.sample_ids.tolist(),
        "goal_classes": victims.goal.classes.tolist(),
        "targeted": victims.goal.targeted,
        "seed": seed,
    }
    store = workspace.store
    key = store.key("crafted", identity)
    item = store.load("crafted", key)
    if item is None:
        draws = Draws(seed=seed, sample_ids=victims.sample_ids)
        crafted = craft(entry, fitted.classifier, victims.images, victims.goal, config, draws)
        item = store.save("crafted", key, spec=identity, tensors={"images": crafted.images}, details={})
    return item.tensors["images"].to(victims.images.device)
