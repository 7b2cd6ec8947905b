"""From indices of the test split to images for the judge: clean, adversarial, noisy."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from attacks.draws import Draws
from bench.crafting import Victims, craft_all
from bench.datasets.contract import Dataset
from bench.fitting import FittedClassifier
from bench.judge import Exhibit
from bench.noise import Noisy, add_noise
from bench.protocol import choose_goal
from bench.spec import RunSpec
from bench.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """Everything images are made with in one run.

    logits: (test images, classes) float32 on the CPU, of the clean test split.
    """

    spec: RunSpec
    dataset: Dataset
    fitted: FittedClassifier
    workspace: Workspace
    logits: Tensor

    @property
    def correct(self) -> Tensor:
        """(test images,) bool: the classifier gets the clean image right."""
        return self.logits.argmax(dim=1) == self.dataset.test.labels

    def clean(self, role: str, ids: Tensor) -> Exhibit:
        """The test images at `ids`, an (n,) int64 tensor."""
        images = self.dataset.test.images(ids).to(self.workspace.device)
        labels = self.dataset.test.labels[ids]
        return Exhibit(role=role, kind="clean", sample_ids=ids, labels=labels, images=images, clean=images)

    def adversarial(self, clean: Exhibit, attack: str, config: Any, target: str) -> Exhibit:
        """What an attack makes of clean images; from the store where it has them."""
        device, seed = self.workspace.device, self.spec.seed
        draws = Draws(seed=seed, sample_ids=clean.sample_ids)
        logits = self.logits[clean.sample_ids].to(device)
        goal = choose_goal(target, clean.labels.to(device), logits, draws)
        victims = Victims(images=clean.images, sample_ids=clean.sample_ids, goal=goal)
        crafted = craft_all(attack, config, self.fitted, victims, seed, self.workspace)
        return Exhibit(
            role=clean.role,
            kind="adversarial",
            sample_ids=clean.sample_ids,
            labels=clean.labels,
            images=crafted,
            clean=clean.images,
            goal=goal,
            config=config,
        )

    def noisy(self, clean: Exhibit, mean_l2: float) -> tuple[Exhibit, Noisy]:
        """Clean images with Gaussian noise of a mean L2 distance, in pixel units."""
        noisy = add_noise(clean.images, mean_l2, Draws(seed=self.spec.seed, sample_ids=clean.sample_ids))
        exhibit = Exhibit(
            role=clean.role,
            kind="noisy",
            sample_ids=clean.sample_ids,
            labels=clean.labels,
            images=noisy.images,
            clean=clean.images,
        )
        return exhibit, noisy
