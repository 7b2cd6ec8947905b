"""From indices of the test split to images for the judge: clean, adversarial, noisy."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from attacks.draws import Draws
from attacks.goal import Goal, reached
from bench.crafted import Crafted
from bench.crafting import craft_all
from bench.datasets.contract import Dataset
from bench.fitting import FittedClassifier, FittedDetector, fit_detector
from bench.judge import Exhibit
from bench.noise import Noisy, add_noise
from bench.order import Guard, Order, Victims
from bench.protocol import choose_goal
from bench.spec import DetectorSpec, RunSpec
from bench.workspace import Workspace


def _names(made_by: Tensor | None, members: tuple[str, ...]) -> tuple[str, ...]:
    """The member behind each image; empty for attacks without members."""
    if made_by is None:
        return ()
    return tuple(members[number] if 0 <= number < len(members) else "" for number in made_by.tolist())


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
        return Exhibit(
            role=role,
            kind="clean",
            sample_ids=ids,
            labels=labels,
            images=images,
            clean=images,
            logits=self.logits[ids].to(self.workspace.device),
        )

    def attacked(self, clean: Exhibit, guard: Guard | None = None) -> tuple[Exhibit, Crafted]:
        """What the test attack makes of clean images; from the store where it has them. `guard`: see `craft_all`."""
        spec = self.spec
        order = Order(
            attack=spec.attack,
            config=spec.attack_config,
            backend=spec.backend,
            precision=spec.precision,
            seed=spec.seed,
        )
        return self._adversarial(clean, order, spec.target, traced=self.workspace.traced, guard=guard)

    def attacked_for_training(self, clean: Exhibit, attack: str, config: Any) -> tuple[Exhibit, Crafted]:
        """What set I holds: untargeted, and by our own implementation whoever makes the test images."""
        order = Order(attack=attack, config=config, precision=self.spec.precision, seed=self.spec.seed)
        return self._adversarial(clean, order, "none", traced=False)

    def goal(self, clean: Exhibit, target: str) -> Goal:
        """What an attack is to make of clean images."""
        device = self.workspace.device
        draws = Draws(seed=self.spec.seed, sample_ids=clean.sample_ids)
        return choose_goal(target, clean.labels.to(device), self.logits[clean.sample_ids].to(device), draws)

    def unmet(self, attacked: Exhibit) -> Tensor:
        """(n,) bool on the CPU: images that did not meet the attack's goal as they were."""
        assert attacked.goal is not None
        margin = attacked.goal.margin(self.logits[attacked.sample_ids].to(attacked.goal.classes.device))
        return ~reached(margin, getattr(attacked.config, "confidence", 0.0)).cpu()

    def fit_detector(self, spec: DetectorSpec) -> FittedDetector:
        """The detector, before its logistic regression; from the store where it has it."""
        return fit_detector(spec, self.fitted, self.spec.classifier, self.dataset, self.workspace)

    def craft(self, role: str, order: Order, victims: Victims, *, traced: bool, guard: Guard | None) -> Crafted:
        """Adversarial images for the set called `role`; from the store where it has them."""
        del role  # they do not depend on the set
        return craft_all(order, self.fitted, victims, self.workspace, traced=traced, guard=guard)

    def _adversarial(
        self, clean: Exhibit, order: Order, target: str, *, traced: bool, guard: Guard | None = None
    ) -> tuple[Exhibit, Crafted]:
        goal = self.goal(clean, target)
        victims = Victims(images=clean.images, sample_ids=clean.sample_ids, goal=goal)
        crafted = self.craft(clean.role, order, victims, traced=traced, guard=guard)
        exhibit = Exhibit(
            role=clean.role,
            kind="adversarial",
            sample_ids=clean.sample_ids,
            labels=clean.labels,
            images=crafted.images,
            clean=clean.images,
            goal=goal,
            config=order.config,
            made_by=_names(crafted.made_by, order.entry.members),
        )
        return exhibit, crafted

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
