"""What `craft` refuses and measures. Expected figures are worked out by hand beside each test."""

from collections.abc import Callable

import pytest
import torch
from small_models import draws_for, random_images
from torch import Tensor, nn

from attacks.contract import Attack, AttackEntry, CraftedBatch, craft
from attacks.cw import CW, CwConfig
from attacks.draws import Draws
from attacks.errors import AttackError, ModelError, RequestError
from attacks.fgsm import FGSM, FgsmConfig
from attacks.goal import Goal, reached
from attacks.margins import class_margin
from attacks.pgd import PGD, PgdConfig
from attacks.probe import Probe

STEP = FgsmConfig(epsilon=0.1)


def _fgsm(model: Callable[[Tensor], Tensor], images: Tensor, goal: Goal) -> CraftedBatch:
    return craft(FGSM, model, images, goal, STEP, draws_for(len(images)))


def test_a_model_in_train_mode_is_refused(network: nn.Sequential, images: Tensor, goal: Goal) -> None:
    network[2].train()  # one layer is enough: it may be the dropout
    for model in (network, network.forward):
        with pytest.raises(ModelError, match="train mode"):
            _fgsm(model, images, goal)


def test_probabilities_are_refused_where_margins_matter(network: nn.Sequential, images: Tensor, goal: Goal) -> None:
    probabilities = nn.Sequential(network, nn.Softmax(dim=1)).eval()
    with pytest.raises(ModelError, match="probabilities"):
        craft(CW, probabilities, images, goal, CwConfig(steps=1, search_steps=1), draws_for(14))
    config = PgdConfig(epsilon=0.1, step_size=0.1, steps=1)
    assert craft(PGD, probabilities, images, goal, config, draws_for(14)).margin.shape == (14,)


def test_logits_that_are_no_logits_are_refused(network: nn.Sequential, images: Tensor, goal: Goal) -> None:
    for broken in (
        lambda batch: network(batch) * torch.nan,
        lambda batch: network(batch)[:, :1],
        lambda batch: network(batch).flatten(),
    ):
        with pytest.raises(ModelError, match="finite logits"):
            _fgsm(broken, images, goal)


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images - 0.5,
        lambda images: 2 * images,
        lambda images: images * torch.nan,
        lambda images: images.double(),
        lambda images: (images * 255).to(torch.uint8),
        lambda images: images.flatten(1),
    ],
    ids=["below 0", "above 1", "NaN", "float64", "uint8", "flat"],
)
def test_images_out_of_contract_are_refused(
    network: nn.Sequential, images: Tensor, goal: Goal, change: Callable[[Tensor], Tensor]
) -> None:
    with pytest.raises(RequestError, match="images must"):
        _fgsm(network, change(images), goal)


@pytest.mark.parametrize(
    "classes",
    [torch.full((14,), 5), torch.full((14,), -1), torch.zeros(13, dtype=torch.int64), torch.zeros(14)],
    ids=["too large", "negative", "too few", "float"],
)
def test_classes_out_of_range_are_refused(network: nn.Sequential, images: Tensor, classes: Tensor) -> None:
    with pytest.raises(RequestError, match="class"):
        _fgsm(network, images, Goal(classes=classes))


@pytest.mark.parametrize(
    "attack",
    [
        lambda _probe, images, *_rest: images * torch.nan,
        lambda _probe, images, *_rest: images[:, :, :4],
    ],
    ids=["NaN", "shape"],
)
def test_an_attack_that_breaks_its_promise_is_an_error(
    network: nn.Sequential, images: Tensor, goal: Goal, attack: Attack
) -> None:
    entry = AttackEntry(name="broken", summary="", source="", config=FgsmConfig, attack=attack)
    with pytest.raises(AttackError, match=r"the attack broken .* bug"):
        craft(entry, network, images, goal, STEP, draws_for(14))


def test_margins_distances_and_success_are_measured() -> None:
    # one image of 4 pixels; the attack adds 0.1 to two of them: L2 0.1 sqrt(2), L-infinity 0.1
    def attack(_probe: Probe, images: Tensor, _config: object, _draws: Draws) -> Tensor:
        return images + torch.tensor([0.1, 0.1, 0.0, 0.0]).view(1, 1, 2, 2)

    entry = AttackEntry(name="add", summary="", source="", config=FgsmConfig, attack=attack)
    images = torch.full((1, 1, 2, 2), 0.5)
    scale = torch.tensor([1.0, 3.0, 4.0])

    def model(batch: Tensor) -> Tensor:  # logits are 1, 3 and 4 times the sum of the pixels, 2.2
        return batch.flatten(1).sum(dim=1, keepdim=True) * scale

    for classes, targeted, margin in ((2, False, -2.2), (1, False, 2.2), (2, True, 2.2), (1, True, -2.2)):
        goal = Goal(classes=torch.tensor([classes]), targeted=targeted)
        crafted = craft(entry, model, images, goal, STEP, draws_for(1))
        assert crafted.margin.item() == pytest.approx(margin, abs=1e-5)
        assert crafted.success.item() is (margin > 0)
        assert crafted.l2.item() == pytest.approx(0.1 * 2**0.5, abs=1e-6)
        assert crafted.linf.item() == pytest.approx(0.1, abs=1e-6)
        assert (crafted.passes, crafted.vanished.tolist(), crafted.trace) == (0, [False], None)  # it never looked


def test_what_the_probe_saw_is_handed_on(network: nn.Sequential, images: Tensor, goal: Goal) -> None:
    config = PgdConfig(epsilon=0.1, step_size=0.1, steps=3)
    crafted = craft(PGD, network, images, goal, config, draws_for(14), traced=True)
    assert crafted.passes == 4 * 14  # three steps and the last look; the two measurements are not the attack's
    assert crafted.trace is not None
    assert crafted.trace.margin.shape == crafted.trace.loss.shape == (14, 4)
    assert torch.allclose(crafted.trace.margin.amax(dim=1), crafted.margin, atol=1e-5)  # PGD keeps the worst
    assert not crafted.vanished.any()


def test_a_model_whose_gradients_underflow_is_marked(images: Tensor) -> None:
    # logits 0 and 1000 (1 + x): the softmax is exactly (0, 1) in float32, so no loss has a slope; the margin has
    def saturated(batch: Tensor) -> Tensor:
        pixel = batch.flatten(1)[:, :1]
        return torch.cat([0 * pixel, 1000 * (1 + pixel)], dim=1)

    crafted = _fgsm(saturated, images, Goal(classes=torch.ones(14, dtype=torch.int64)))
    assert crafted.vanished.all()
    assert not crafted.success.any()


def test_reached_needs_a_margin_above_zero_and_at_least_the_confidence() -> None:
    margins = torch.tensor([-1.0, 0.0, 1e-6, 8.99, 9.0, 9.1])
    assert reached(margins, 0.0).tolist() == [False, False, True, True, True, True]
    assert reached(margins, 9.0).tolist() == [False, False, False, False, True, True]


def test_class_margin_leaves_the_class_itself_out() -> None:
    logits = torch.tensor([[5.0, 2.0, 4.5], [-3.0, -1.0, -2.0]])
    assert class_margin(logits, torch.tensor([0, 0])).tolist() == [0.5, -2.0]


def test_empty_batches_pass(network: nn.Sequential) -> None:
    goal = Goal(classes=torch.zeros(0, dtype=torch.int64))
    for entry, config in ((FGSM, STEP), (CW, CwConfig(steps=2, search_steps=1))):
        crafted = craft(entry, network, random_images(1)[:0], goal, config, draws_for(0))
        assert crafted.images.shape == (0, 1, 8, 8)
