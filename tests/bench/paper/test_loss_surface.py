"""Loss surfaces: against closed forms of a linear classifier, and each quicker layer against the one it stands for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import workspace_in
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, max_pool2d

from attacks.draws import Draws
from attacks.errors import ModelError, RequestError
from bench.paper.artifacts.figure4 import FIGURE4
from bench.paper.artifacts.figure4_findings import findings_of
from bench.paper.contract import Made, PaperRequest
from bench.paper.desk import Desk
from bench.paper.missing import MissingError
from bench.paper.studies import loss_surface
from bench.paper.studies.loss_surface import loss_surfaces, planes_through, steps_of
from bench.paper.studies.plane import TILE, Plane, tiles_of
from bench.paper.studies.plane_front import AffineFront, SplitFront
from bench.paper.studies.quick_copy import quick_copy
from bench.paper.studies.quick_layers import CoveringLinear, Halving, StridedWinograd
from bench.paper.studies.surface_shape import shape_of
from bench.progress import Silent
from defenses.contract import Classifier
from defenses.networks.registry import build_baseline, build_er_network

ROUNDING = 2**-8  # of one bfloat16 number


def surfaces(classifier: nn.Module, planes: list[Plane], steps: Tensor, precision: str = "float32") -> Any:
    with Silent().task("", len(planes)) as task:
        return loss_surfaces(classifier, planes, steps, precision=precision, task=task)


def lively(network: Classifier) -> Classifier:
    """An untrained network in eval mode whose BatchNorms do something and whose logits differ."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                size = module.running_mean.shape
                module.running_mean.copy_(0.05 * torch.randn(size, generator=generator))
                module.running_var.copy_(0.02 + 0.05 * torch.rand(size, generator=generator))
                module.weight.copy_(0.5 + torch.rand(size, generator=generator))
                module.bias.copy_(0.2 * torch.randn(size, generator=generator))
        network.head[-1].weight.mul_(20)
    return network.eval().requires_grad_(False)


def er_network() -> Classifier:
    return lively(build_er_network("digits", classes=10, embedding_dim=4, seed=0))


def baseline_network() -> Classifier:
    return lively(build_baseline("digits", classes=10, seed=0))


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def planes_of(classifier: nn.Module, images: Tensor, sample_ids: Tensor | None = None) -> list[Plane]:
    ids = torch.arange(len(images)) if sample_ids is None else sample_ids
    return planes_through(classifier, images, torch.full((len(images),), 2), Draws(seed=5, sample_ids=ids))


def test_a_linear_classifiers_surface_is_the_formula(images: Tensor) -> None:
    linear = nn.Linear(784, 3).requires_grad_(False)
    (plane,) = planes_of(nn.Sequential(nn.Flatten(), linear), images[:1])
    weight, bias, x = (each.double().numpy() for each in (linear.weight, linear.bias, images[0].flatten()))

    def loss(point: np.ndarray) -> float:
        logits = weight @ point + bias
        return float(np.log(np.exp(logits).sum()) - logits[2])

    odds = np.exp(weight @ x + bias)
    gradient = weight.T @ (odds / odds.sum() - np.array([0, 0, 1]))
    along, across = np.sign(gradient), plane.across.flatten().double().numpy()
    steps = steps_of(5, 0.2)
    expected = [[loss(x + a * along + b * across) for b in steps.tolist()] for a in steps.tolist()]
    measured = surfaces(nn.Sequential(nn.Flatten(), linear), [plane], steps, "auto")
    np.testing.assert_allclose(measured.losses[0], expected, rtol=1e-5)
    np.testing.assert_array_equal(measured.first, measured.losses[0])
    assert (measured.precision, measured.deviation) == ("float32", None)  # it has no quick copy
    assert plane.slope_along == pytest.approx(np.abs(gradient).sum(), rel=1e-4)
    assert plane.slope_across == pytest.approx(gradient @ across, rel=1e-3)
    assert set(np.unique(across)) == {-1, 1}


def test_the_center_is_the_plain_loss(images: Tensor) -> None:
    network = er_network()
    planes = planes_of(network, images)
    plain = cross_entropy(network(images), torch.full((4,), 2), reduction="none")
    measured = surfaces(network, planes, steps_of(3, 0.3))
    np.testing.assert_allclose(measured.losses[:, 1, 1], plain, rtol=1e-4)
    np.testing.assert_allclose([plane.center for plane in planes], plain, rtol=1e-4)


@pytest.mark.parametrize(("grid", "has_zero"), [(3, True), (50, False), (51, True)])
def test_steps_are_symmetric_and_even(grid: int, has_zero: bool) -> None:
    steps = steps_of(grid, 0.3)
    assert (steps[0], steps[-1]) == (torch.tensor(-0.3), torch.tensor(0.3))
    assert torch.equal(steps, -steps.flip(0))
    assert (0 in steps) == has_zero
    np.testing.assert_allclose(torch.diff(steps), 0.6 / (grid - 1), rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_images_surface_does_not_depend_on_the_others(images: Tensor, precision: str) -> None:
    network, steps = er_network(), steps_of(5, 0.3)
    together = planes_of(network, images)
    alone = planes_of(network, images[2:3], torch.tensor([2]))
    assert torch.equal(together[2].along, alone[0].along)
    assert torch.equal(together[2].across, alone[0].across)
    assert not torch.equal(together[1].across, together[2].across)
    of_all, of_one = (surfaces(network, planes, steps, precision).losses for planes in (together, alone))
    assert torch.equal(of_all[2], of_one[0])


@pytest.mark.parametrize("build", [er_network, baseline_network])
def test_bfloat16_is_close_to_float32_and_leaves_the_network_alone(
    build: Callable[[], Classifier], images: Tensor
) -> None:
    network, steps = build(), steps_of(2 * TILE + 1, 0.3)  # more than one tile
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    planes = planes_of(network, images[:2])
    exact, quick = (surfaces(network, planes, steps, precision) for precision in ("float32", "bfloat16"))
    span = exact.losses.amax(dim=(1, 2)) - exact.losses.amin(dim=(1, 2))
    off = (quick.losses - exact.losses).abs().amax(dim=(1, 2)) / span
    assert 0 < float(off.max()) < 0.03
    assert quick.precision == "bfloat16"
    assert 0 < quick.deviation <= float(off.max())
    assert torch.equal(quick.first, exact.losses[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.get_num_threads() == 1  # as before


def test_auto_takes_float32_where_bfloat16_could_be_seen(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    network, steps = er_network(), steps_of(5, 0.3)
    planes = planes_of(network, images[:2])
    monkeypatch.setattr(loss_surface, "_has_bfloat16", lambda _: True)
    assert surfaces(network, planes, steps, "auto").precision == "bfloat16"
    monkeypatch.setattr(loss_surface, "VISIBLE", 0.0)
    measured = surfaces(network, planes, steps, "auto")
    assert (measured.precision, measured.checked) == ("float32", 9)
    assert measured.deviation > 0
    assert torch.equal(measured.losses, surfaces(network, planes, steps).losses)


def test_a_loss_that_is_not_finite_is_no_surface(images: Tensor) -> None:
    network = er_network()
    planes = planes_of(network, images[:1])
    network.head[-1].bias[0] = torch.nan
    with pytest.raises(ModelError, match="no surface"):
        surfaces(network, planes, steps_of(3, 0.1))
    with pytest.raises(ModelError, match="not finite"):
        planes_of(network, images[:1])


@pytest.mark.parametrize("side", [6, 7])
def test_winograds_convolution_is_the_plain_one(side: int) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(24, 32, 4, stride=2, padding=1).requires_grad_(False)
    images = torch.randn(5, 24, side, side).relu().to(torch.bfloat16)
    expected = convolution(images.float())
    quick = StridedWinograd(convolution)
    for _ in range(2):  # also into memory used before
        off = (quick(images).float() - expected).std() / expected.std()
        assert float(off) < 4 * ROUNDING


def test_a_covering_convolution_is_linear() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(8, 6, 4, stride=2, padding=1).requires_grad_(False)
    images = torch.randn(5, 8, 3, 3).to(torch.bfloat16)
    expected = convolution(images.float())
    given = CoveringLinear(convolution, 3, 3)(images).float()
    assert given.shape == expected.shape == (5, 6, 1, 1)
    assert float((given - expected).std() / expected.std()) < 2 * ROUNDING


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 3, 7, 9)])
def test_halving_is_max_pooling(shape: tuple[int, ...]) -> None:
    images = torch.randn(shape)
    assert torch.equal(Halving()(images), max_pool2d(images, 2))
    assert Halving.is_same(nn.MaxPool2d(2))
    assert not Halving.is_same(nn.MaxPool2d(2, ceil_mode=True))
    assert not Halving.is_same(nn.MaxPool2d(3, 2))


@pytest.mark.parametrize("padding", [0, 1])
def test_both_fronts_are_the_first_layers(images: Tensor, padding: int) -> None:
    network = er_network()
    plane = planes_of(network, images[:1])[0]
    torch.manual_seed(0)
    first = nn.Conv2d(1, 12, 4, stride=2, padding=1).requires_grad_(False)
    second = nn.Conv2d(12, 10, 3, stride=2, padding=padding).requires_grad_(False)
    split = SplitFront(network.normalization, first)
    affine = AffineFront(network.normalization, first, second, images[0])
    for tile in tiles_of(steps_of(20, 0.3)):
        once = first(network.normalization(plane.inputs(*tile.points())))
        twice = second(once.relu())
        for front, expected in ((split, once), (affine, twice)):
            given = front.hidden(front.prepared(plane), tile).float()
            assert given.shape == expected.shape
            assert float((given - expected).std() / expected.std()) < 2 * ROUNDING


def test_a_split_input_keeps_what_one_bfloat16_number_would_lose() -> None:
    pick = nn.Conv2d(1, 1, 1).requires_grad_(False)
    pick.weight.fill_(1)
    pick.bias.fill_(-1)
    plane = Plane(
        image=torch.full((1, 1, 1), 1.0),
        label=0,
        along=torch.ones(1, 1, 1),
        across=torch.ones(1, 1, 1),
        center=0.0,
        slope_along=0.0,
        slope_across=0.0,
    )
    (tile,) = tiles_of(torch.tensor([-0.001, 0.0, 0.001]))
    front = SplitFront(nn.Identity(), pick)
    given = front.hidden(front.prepared(plane), tile).float().flatten()
    expected = torch.tensor([-0.002, -0.001, 0, -0.001, 0, 0.001, 0, 0.001, 0.002])
    np.testing.assert_allclose(given, expected, atol=2**-16)
    alone = conv2d(plane.inputs(*tile.points()).to(torch.bfloat16), pick.weight.bfloat16(), pick.bias.bfloat16())
    assert float((alone.float().flatten() - expected).abs().max()) > 2**-10


@pytest.mark.parametrize("grid", [3, TILE, TILE + 1, 51])
def test_tiles_cover_the_grid_once(grid: int) -> None:
    tiles, seen = tiles_of(steps_of(grid, 1.0)), torch.zeros(grid, grid)
    for tile in tiles:
        assert max(len(tile.along), len(tile.across)) <= TILE
        seen[tile.rows, tile.columns] += 1
    assert bool((seen == 1).all())


def test_networks_that_are_no_chain_have_no_quick_copy(images: Tensor) -> None:
    network = er_network()
    assert quick_copy(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), images[0]) is None
    for layer in (nn.AvgPool2d(1), nn.Conv2d(32, 32, 1, groups=2)):
        chain = nn.Sequential(network.encoder[0], layer, *network.encoder[1:])
        changed = Classifier(normalization=network.normalization, encoder=chain, head=network.head)
        assert quick_copy(changed.eval(), images[0]) is None
    assert quick_copy(network, images[0]) is not None


def test_mnists_networks_are_made_of_the_quick_layers(images: Tensor) -> None:
    network = lively(build_er_network("mnist", classes=10, embedding_dim=4, seed=0))
    quick = quick_copy(network, images[0])
    assert quick is not None
    assert isinstance(quick.front, AffineFront)
    kinds = [type(layer) for layer in quick.trunk]
    assert kinds == [nn.ReLU, StridedWinograd, nn.ReLU, CoveringLinear, nn.ReLU]
    planes = planes_of(network, images[:1])
    exact, near = (surfaces(network, planes, steps_of(3, 0.1), each).losses for each in ("float32", "bfloat16"))
    assert float((near - exact).abs().max() / (exact.max() - exact.min())) < 0.03
    baseline = quick_copy(lively(build_baseline("mnist", classes=10, seed=0)), images[0])
    assert baseline is not None
    assert isinstance(baseline.front, SplitFront)
    assert [type(layer) for layer in baseline.trunk].count(Halving) == 2


def test_the_shape_of_a_plane_and_of_a_bowl() -> None:
    steps = steps_of(11, 0.5)
    h = 0.1
    a, b = steps.double()[:, None], steps.double()[None, :]
    plane = shape_of(2 + 3 * a + 0.5 * b, steps, 2.0, 3.0, 0.5)
    assert plane.roughness == pytest.approx(0, abs=1e-7)
    assert (plane.center, plane.end, plane.corner) == pytest.approx((2, 3.5, 3.75))
    assert (plane.largest, plane.largest_along, plane.largest_across) == pytest.approx((3.75, 0.5, 0.5))
    assert plane.rise_ratio == pytest.approx(0.25 / 1.5)
    bowl = shape_of(a**2 + 4 * b**2, steps, 0.0, 0.0, 0.0)
    # second differences are 2h² along and 8h² across, the span is 5/4
    assert bowl.roughness == pytest.approx(5 * h**2 / 1.25, rel=1e-5)
    assert bowl.sharpest_bend == pytest.approx(8 * h**2 / 1.25, rel=1e-5)
    assert bowl.above_linear == pytest.approx(120 / 121)
    assert bowl.rise_ratio == pytest.approx(4)
    flat = shape_of(torch.zeros(3, 3), steps_of(3, 1.0), 0.0, 0.0, 0.0)
    assert (flat.roughness, flat.rise_ratio) == (None, None)


def test_noise_is_rough() -> None:
    noise = torch.rand(51, 51, generator=torch.Generator().manual_seed(0))
    shape = shape_of(noise, steps_of(51, 0.3), 0.5, 1.0, 0.0)
    assert shape.roughness is not None
    assert shape.roughness > 0.3


def test_findings_judge_what_can_be_judged() -> None:
    steps = steps_of(31, 1.0)
    rising = shape_of(steps[:, None] + 0 * steps[None, :], steps, 0.0, 1.0, 0.0)
    noisy = shape_of(torch.rand(31, 31, generator=torch.Generator().manual_seed(0)), steps, 0.5, 1.0, 0.0)
    across = shape_of(0 * steps[:, None] + steps[None, :] ** 2, steps, 0.0, 0.0, 0.0)
    exact = {"precision": "float32", "deviation": None, "checked": 0}
    near = {"precision": "bfloat16", "deviation": 0.002, "checked": 27}
    off = {"precision": "float32", "deviation": 0.02, "checked": 27}
    measured = [("madry", rising, 0, exact), ("standard", noisy, 3, near), ("e-cla", across, 9, off)]
    of_shape, claim, arithmetic = findings_of(measured, 9, 31, 10)[:3], findings_of(measured, 9, 31, 10)[3], slice(4, 7)
    assert "rises 0.00 times as far as along the sign (0 of 9" in of_shape[0]
    assert "does not rise along the gradient's sign: the gradient is masked (9 of 9" in of_shape[2]
    assert "ours of standard bends more" in claim
    assert "ours are, too" in findings_of(measured[:1], 9, 31, 10)[1]
    assert "too few to tell" in findings_of(measured[:1], 9, 30, 10)[1]
    guessing = findings_of([("madry", replace(rising, center=2.0), 0, exact)], 9, 31, 10)
    assert guessing[1].startswith("madry has hardly learned its task: 2 nats at images that it gets right, where")
    assert "guessing costs 2.3;" in guessing[1]  # ln 10
    assert findings_of(measured, 9, 31, 10)[arithmetic] == (
        "madry: computed in float32",
        "standard: the mean surface is computed in bfloat16, off by at most 0.20 % of its range at 27 random points "
        "computed in float32 too; the single image's in float32",
        "e-cla: computed in float32, because the mean surface in bfloat16 was off by 2.00 % of its range at 27 random "
        "points computed in float32 too",
    )


OPTIONS = {"defenses": ("er-classifier", "e-cla"), "grid": 5, "images": 6}


def desk_in(folder: Path, *, collects: bool = False, **options: Any) -> Desk:
    request = PaperRequest(settings={"n_train": 300, "epochs": 4}, seeds=(1, 2), options=OPTIONS | options)
    return Desk(artifact="figure4", request=request, workspace=workspace_in(folder), collects=collects)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    folder = tmp_path_factory.mktemp("figure4")
    return folder, FIGURE4.make(desk_in(folder))


def test_the_figure_its_table_and_its_numbers(drawn: tuple[Path, Made]) -> None:
    folder, made = drawn
    desk = desk_in(folder)
    assert len(made.data) == 2 * 5 * 5
    row = made.data[12]  # the middle
    assert (row["defense"], row["a"], row["b"]) == ("er-classifier", 0, 0)
    item = desk.workspace.store.load("studies", made.keys[0])
    assert item is not None
    sample_ids = item.spec["identity"]["sample_ids"]
    network, test = desk.classifier("er-classifier", 1).classifier, desk.dataset.test
    losses = cross_entropy(network(test.images(torch.tensor(sample_ids))), test.labels[sample_ids], reduction="none")
    assert row["loss_first"] == pytest.approx(float(losses[0]), rel=1e-4)
    assert row["loss_mean"] == pytest.approx(float(losses.mean()), rel=0.05, abs=0.01)
    right = [
        network(test.images(slice(100))).argmax(dim=1) == test.labels[:100]
        for network in (desk.classifier(name, 1).classifier for name in OPTIONS["defenses"])
    ]
    assert sample_ids == (right[0] & right[1]).nonzero().flatten()[:6].tolist()
    assert [row[1].text for block in made.table.blocks for row in block] == ["er-classifier", "e-cla"] * 2
    assert made.figure is not None
    assert len([axes for axes in made.figure.axes if axes.name == "3d"]) == 4
    assert "n 6 test images" in made.counted
    assert "seed 1" in made.counted


def test_another_pairing_reuses_what_is_stored(drawn: tuple[Path, Made], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = drawn
    monkeypatch.setattr("bench.paper.artifacts.figure4.planes_through", lambda *_: pytest.fail("computed again"))
    again = FIGURE4.make(desk_in(folder, defenses=("e-cla", "er-classifier"), collects=True))
    assert again.keys == made.keys[::-1]
    with pytest.raises(MissingError, match="loss-surface"):
        FIGURE4.make(desk_in(folder, grid=7, collects=True))


def test_the_same_seed_gives_all_classifiers_the_same_random_direction(drawn: tuple[Path, Made]) -> None:
    folder, _ = drawn
    desk = desk_in(folder)
    images = desk.dataset.test.images(slice(2))
    one, two = (planes_of(desk.classifier(name, 1).classifier, images) for name in OPTIONS["defenses"])
    assert all(torch.equal(a.across, b.across) for a, b in zip(one, two, strict=True))
    assert any(not torch.equal(a.along, b.along) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"grid": 2}, "--grid must be between 3"),
        ({"range": 0.0}, "--range must lie in"),
        ({"range": 1.5}, "--range must lie in"),
        ({"range": float("nan")}, "--range must lie in"),
        ({"images": 0}, "--images must be at least 1"),
        ({"defenses": ("er-clasifier",)}, "did you mean"),
        ({"defenses": ("kd",)}, "'kd' is no classifier"),
        ({"defenses": ("model",)}, "'model' is no classifier"),
        ({"precision": "float16"}, "precision"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint):
        FIGURE4.make(desk_in(tmp_path, **options))
    assert not (tmp_path / "results").exists()


def test_more_images_than_are_right_are_refused(drawn: tuple[Path, Made]) -> None:
    with pytest.raises(RequestError, match="ask for fewer"):
        FIGURE4.make(desk_in(drawn[0], images=501))
