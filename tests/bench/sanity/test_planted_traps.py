"""Broken defenses and evaluations, planted on purpose: each raises the right flag, and its honest twin does not.

What is planted follows from the literature that each check names; nothing here is compared with measured numbers.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from planted import Around, Trap, case_of_model, honest, is_raised, trained, verdict, watched
from torch import Tensor, nn

from attacks.apgd import APGD_CE, ApgdConfig
from attacks.contract import AttackEntry
from attacks.draws import Draws
from attacks.losses import cross_entropy_loss
from attacks.pgd import PgdConfig
from attacks.pgd_detector import PGD_SELECTIVE
from attacks.probe import Probe
from bench.datasets.contract import Split
from bench.metrics.detection import threshold_at
from bench.sanity import black_box
from bench.sanity.contract import Case
from bench.sanity.registry import CHECKS
from bench.sanity.rivals import passes_of

WIDE = PgdConfig(epsilon=0.6, step_size=0.03, steps=20)


def around(forward: Any, **changes: Any) -> Case:
    return case_of_model(Around(forward), **changes)


class Quantized(torch.autograd.Function):
    """Eight gray levels, without gradients."""

    @staticmethod
    def forward(_ctx: Any, images: Tensor) -> Tensor:
        return (images * 7).round() / 7

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        return torch.zeros_like(gradients[0])


def quantized(network: nn.Module, images: Tensor) -> Tensor:
    return network(Quantized.apply(images))


def skipped(network: nn.Module, images: Tensor) -> Tensor:
    """All that decides is detached; what gradients follow is a trickle beside it."""
    return network(images.detach()) + 0.01 * network(images.flip(3))


def noisy(network: nn.Module, images: Tensor) -> Tensor:
    return network(images + 0.1 * torch.randn_like(images))


def one_hot(network: nn.Module, images: Tensor) -> Tensor:
    logits = network(images)
    return torch.nn.functional.one_hot(logits.argmax(dim=1), 10).float() + 0 * logits


def purified(network: nn.Module, images: Tensor) -> Tensor:
    """One step down the entropy of its own prediction before it answers."""
    with torch.enable_grad():
        start = images.detach().requires_grad_()
        entropy = torch.distributions.Categorical(logits=network(start)).entropy().sum()
        (gradient,) = torch.autograd.grad(entropy, start)
    return network(images - 0.01 * gradient)


def only_at_gray_levels(network: nn.Module, images: Tensor) -> Tensor:
    """Gradients flow where every pixel is one of the 256 levels: at clean images, and nowhere an attack goes."""
    levels = images.detach() * 255
    is_clean = ((levels - levels.round()).abs() < 1e-3).flatten(1).all(dim=1)
    return torch.where(is_clean[:, None], network(images), network(images.detach()))


def only_near(network: nn.Module, images: Tensor) -> Tensor:
    """Gradients flow while an image is smooth; large random starts are not."""
    roughness = images.detach().diff(dim=3).abs().mean(dim=(1, 2, 3))
    return torch.where((roughness < 0.12)[:, None], network(images), network(images.detach()))


def training() -> Case:
    """A batch normalization of the pixels that was never put into eval mode."""
    model = Around(lambda network, images: network(images))
    model.network = nn.Sequential(nn.BatchNorm2d(1), trained())
    model.network[0].train()
    return case_of_model(model, attacks=False)


def seen() -> Case:
    case = honest()
    train, copies = case.train, case.test.take(case.sample_ids[:3])
    pixels = torch.cat([train.pixels, copies.pixels])
    return replace(case, train=Split(pixels=pixels, labels=torch.cat([train.labels, copies.labels])), _kept={})


def on_predictions() -> Case:
    """The first image is misclassified, and the attack wants it to leave the class that it is taken for."""
    case = honest()
    outcomes = case.outcomes.copy()
    first = (outcomes["sample_id"] == 0) & (outcomes["kind"] == "adversarial")
    outcomes.loc[first, "goal_class"] = (outcomes.loc[first, "label"] + 1) % 10
    return replace(case, outcomes=outcomes, _kept={})


def below_gray_levels() -> Case:
    """What breaks the images is a shift of 0.4 gray levels that the model looks for."""

    def shifted(network: nn.Module, images: Tensor) -> Tensor:
        levels = images * 255
        off = ((levels - levels.round()).abs() > 0.3).float().mean(dim=(1, 2, 3), keepdim=True)
        return network(images) * (1 - 2 * (off.flatten(1) > 0.5).float())

    case = around(shifted, attacks=False)
    adversarial = (case.images + 0.4 / 255 * torch.where(case.images < 0.5, 1.0, -1.0)).clamp(0, 1)
    outcomes = case.outcomes.assign(reached=case.outcomes["kind"] == "adversarial")
    return replace(case, adversarial=adversarial, outcomes=outcomes, _kept={})


def threshold_from_adversarial() -> Case:
    """The threshold lets 5 % of the adversarial images pass, not 5 % of the clean ones be caught."""
    case = watched()
    attacked = case.outcomes.query("kind == 'adversarial'")["probability"].to_numpy()
    return replace(case, metrics=case.metrics | {"threshold_at_5_fpr": threshold_at(attacked, 0.05)}, _kept={})


def rates_at_another_threshold() -> Case:
    case = watched()
    tpr = case.metrics["tpr_at_5_fpr"] | {"successes": case.metrics["tpr_at_5_fpr"]["successes"] - 1}
    return replace(case, metrics=case.metrics | {"tpr_at_5_fpr": tpr}, _kept={})


def forgetful(probe: Probe, images: Tensor, config: Any, draws: Draws) -> Tensor:
    """PGD that walks on to where it began."""
    rows = torch.arange(len(images))
    current = images
    for step in range(config.steps):
        look = probe.gradient(current, rows, cross_entropy_loss, step=step)
        current = (current + 0.1 * look.gradient.sign()).clamp(0, 1)
    probe.margin(current, rows, step=config.steps)
    return images


FORGETFUL = AttackEntry(name="forgetful", summary="", source="", config=PgdConfig, attack=forgetful)


def claimed_too_far() -> Case:
    """A model without gradients under a ball in which the digits of all classes meet."""
    return around(lambda network, images: network(images.detach()) + 0 * images.sum(), config=WIDE)


def without_gradients() -> Case:
    return around(quantized)


def beaten_by_an_oblivious_attack(*, lost: int = 20) -> Case:
    """An attack that knows the detector, and one that does not, which passes on `lost` images more."""
    case = watched()
    own = passes_of(case.outcomes, case.metrics["threshold_at_5_fpr"])
    fooled = {image for image, passes in own.items() if not passes}
    rival = {image: passes or image in sorted(fooled)[:lost] for image, passes in own.items()}
    return replace(case, entry=PGD_SELECTIVE, rivals=(("er1 · pgd", rival),), _kept={})


TRAPS = {
    "saturated logits": Trap(
        flag="vanishing-gradients", broken=lambda: around(lambda network, images: 1e5 * network(images))
    ),
    "input quantization without gradients": Trap(flag="vanishing-gradients", broken=without_gradients),
    "zero gradients under an attack that asks for none": Trap(
        flag="vanishing-gradients", broken=lambda: around(quantized, attacks=False)
    ),
    "detached input": Trap(
        flag="vanishing-gradients",
        broken=lambda: around(lambda network, images: network(images.detach()), attacks=False),
    ),
    "detached layers": Trap(flag="misleading-gradients", broken=lambda: around(skipped)),
    "gradients out of scale": Trap(
        flag="exploding-gradients", broken=lambda: around(lambda network, images: 1e5 * network(images), attacks=False)
    ),
    "random noise at inference": Trap(flag="random-outputs", broken=lambda: around(noisy)),
    "one-hot outputs": Trap(flag="probabilities", broken=lambda: around(one_hot, attacks=False)),
    "softmax outputs": Trap(
        flag="probabilities", broken=lambda: around(lambda network, images: network(images).softmax(dim=1))
    ),
    "batch normalization in train mode": Trap(flag="train-mode", broken=training),
    "batch statistics at inference": Trap(flag="batch-dependent", broken=training),
    "a model that differs between batch sizes": Trap(
        flag="batch-dependent",
        broken=lambda: around(lambda network, images: network(images - 0.3 * images.mean(dim=0, keepdim=True))),
    ),
    "purification by gradients": Trap(flag="autograd-inside", broken=lambda: around(purified, attacks=False)),
    "trained on 0 to 255": Trap(
        flag="input-range", broken=lambda: around(lambda network, images: network(images / 255), attacks=False)
    ),
    "trained on -1 to 1": Trap(
        flag="input-range", broken=lambda: around(lambda network, images: network((images + 1) / 2), attacks=False)
    ),
    "a detector that flags everything": Trap(
        flag="won-by-flagging", broken=lambda: watched(lambda _rows: 0.9), twin=watched
    ),
    "a threshold from adversarial images": Trap(
        flag="threshold-not-from-clean", broken=threshold_from_adversarial, twin=watched
    ),
    "rates at another threshold": Trap(
        flag="threshold-not-from-clean", broken=rates_at_another_threshold, twin=watched
    ),
    "an attack on the predicted label": Trap(flag="attack-on-prediction", broken=on_predictions),
    "success below one gray level": Trap(flag="eight-bit", broken=below_gray_levels),
    "test images in the training set": Trap(flag="seen-in-training", broken=seen),
    "an attack that knows the detector and loses": Trap(
        flag="oblivious-wins",
        broken=beaten_by_an_oblivious_attack,
        twin=lambda: beaten_by_an_oblivious_attack(lost=2),
    ),
    "steps that do not span the ball": Trap(
        flag="steps-too-short",
        broken=lambda: case_of_model(trained(), config=PgdConfig(epsilon=0.1, step_size=0.01, steps=1)),
    ),
    "a one-step budget": Trap(
        flag="budget-too-small",
        broken=lambda: case_of_model(trained(), config=PgdConfig(epsilon=0.1, step_size=0.01, steps=1)),
    ),
    "steps that end while the loss still climbs": Trap(
        flag="loss-still-rises",
        broken=lambda: case_of_model(trained(), config=PgdConfig(epsilon=0.1, step_size=0.002, steps=8)),
        twin=lambda: case_of_model(trained(), config=PgdConfig(epsilon=0.03, step_size=0.005, steps=20)),
    ),
    "an attack that forgets what it found": Trap(
        flag="silent-success", broken=lambda: case_of_model(trained(), entry=FORGETFUL)
    ),
    "gradients at clean images alone": Trap(flag="single-step-wins", broken=lambda: around(only_at_gray_levels)),
    "gradients in small balls alone": Trap(flag="success-falls-with-epsilon", broken=lambda: around(only_near)),
    "no way to images that surely exist": Trap(flag="unbounded-attack-fails", broken=without_gradients),
    "gradients hidden from PGD, not from Square": Trap(flag="black-box-wins", broken=without_gradients),
    "robustness where classes meet": Trap(
        flag="beyond-separation", broken=claimed_too_far, twin=lambda: case_of_model(trained(), config=WIDE)
    ),
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_a_planted_trap_raises_its_flag_and_its_honest_twin_none(trap: Trap) -> None:
    assert is_raised(trap.broken(), trap.flag)
    assert not is_raised(trap.twin(), trap.flag)


def test_every_check_has_a_trap() -> None:
    assert {trap.flag for trap in TRAPS.values()} == {check.name for check in CHECKS}


def test_transferred_images_count_as_an_attack_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(black_box, "QUERIES", 1)
    monkeypatch.setattr(black_box, "POINTS", 1)
    case = without_gradients()
    assert not is_raised(case, "black-box-wins")  # one query and one point find nothing
    found = verdict(replace(case, surrogate=trained(), _kept={}), "black-box-wins")
    assert found.flag is not None
    assert "fall to images transferred from `standard`" in found.flag.sentence


def test_evidence_names_the_images() -> None:
    found = verdict(seen(), "seen-in-training")
    assert found.flag is not None
    assert found.flag.images == (0, 1, 2)
    assert found.flag.numbers == {"images": 3.0, "n": 30.0}
    assert found.flag.sentence.startswith("3 of 30 test images are")
    assert found.flag.advice


def test_a_check_that_breaks_off_is_a_flag() -> None:
    def broken(network: nn.Module, images: Tensor) -> Tensor:
        if len(images) == 1:
            raise RuntimeError("one image is too few")
        return network(images)

    found = verdict(around(broken), "batch-dependent")
    assert found.flag is not None
    assert found.flag.name == "check failed: batch-dependent"
    assert "RuntimeError: one image is too few" in found.flag.sentence


def test_what_a_check_cannot_tell_it_does_not_tell() -> None:
    assert verdict(honest(), "won-by-flagging").why == "no detector"


def test_an_attack_whose_steps_have_no_given_size_is_examined_with_the_datasets() -> None:
    config = ApgdConfig(epsilon=0.1)
    case = replace(honest(), entry=APGD_CE, config=config, _kept={})
    assert verdict(case, "loss-still-rises").why == "the run's attack takes no steps of one given size"
    assert not is_raised(case, "single-step-wins")
