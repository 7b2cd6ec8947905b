"""Adversarial images in chunks and batches: what comes out does not depend on how many pass the model together.

Expected images are those that the attack gives when all are crafted in one batch that fits in memory.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from class_means import FLAT_FOR_BRIGHT, InFloat64, bring, digits, fitted, network, victims
from torch import Tensor, nn

from attacks.backends import contract
from attacks.backends.contract import BackendEntry
from attacks.backends.registry import BACKENDS
from attacks.contract import CraftedBatch, craft
from attacks.cw import CwConfig
from attacks.draws import Draws
from attacks.errors import ModelError
from attacks.fgsm import FgsmConfig, fgsm
from attacks.pgd import PgdConfig
from attacks.probe import Probe
from attacks.square import SquareConfig
from bench import crafting
from bench.api import run
from bench.canonical import plain
from bench.crafted import Crafted
from bench.crafting import craft_all
from bench.metrics.rates import rate
from bench.order import Order
from bench.record import Record, load_outcomes
from bench.tables.methods_table import methods_tables, render
from bench.tables.metrics_table import metrics_table
from bench.workspace import Workspace

COUNT = 110  # two chunks of 50 and a rest
PGD = Order(attack="pgd", config=PgdConfig(epsilon=0.1, step_size=0.03, steps=4, restarts=2, until="success"))
CW = Order(attack="cw", config=CwConfig(steps=8, search_steps=2, initial_c=10, confidence=1))
SQUARE = Order(attack="square", config=SquareConfig(epsilon=0.2, queries=15))
FGSM = Order(attack="fgsm", config=FgsmConfig(epsilon=0.1))


def crafted_by(order: Order, folder: Path, model: nn.Module | None = None, **place: Any) -> Crafted:
    traced = place.pop("traced", False)
    workspace = Workspace(results_dir=folder, **place)
    return craft_all(order, fitted(model or InFloat64()), victims(COUNT), workspace, traced=traced)


def in_one_batch(order: Order, *, traced: bool = False) -> CraftedBatch:
    everyone = victims(COUNT)
    draws = Draws(seed=order.seed, sample_ids=everyone.sample_ids)
    return craft(order.entry, InFloat64(), everyone.images, everyone.goal, order.config, draws, traced=traced)


class Calls:
    """`craft`, and which images each call of it was given."""

    def __init__(self) -> None:
        self.ids: list[list[int]] = []

    def __call__(self, *arguments: Any, **more: Any) -> CraftedBatch:
        self.ids.append(arguments[5].sample_ids.tolist())
        return craft(*arguments, **more)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    recorder = Calls()
    monkeypatch.setattr(crafting, "craft", recorder)
    return recorder


@pytest.mark.parametrize("order", [PGD, CW, SQUARE], ids=lambda order: order.attack)
def test_images_and_traces_do_not_depend_on_the_batch_size(tmp_path: Path, order: Order) -> None:
    expected = in_one_batch(order, traced=True)
    assert expected.success.sum() > 15  # more than the 11 that are misclassified as they are
    assert expected.trace is not None
    for size in (1, 7, 50, 128):
        crafted = crafted_by(order, tmp_path / str(size), batch_size=size, traced=True)
        assert torch.allclose(crafted.images, expected.images, rtol=0, atol=1e-6)
        assert crafted.trace is not None
        for name in ("margin", "loss"):
            ours, theirs = getattr(crafted.trace, name), getattr(expected.trace, name)
            assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("chunk", [5, 40, 200])
def test_images_do_not_depend_on_the_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(crafting, "CHUNK", chunk)
    crafted = crafted_by(PGD, tmp_path, batch_size=100)
    assert torch.allclose(crafted.images, in_one_batch(PGD).images, rtol=0, atol=1e-6)
    assert len(list((tmp_path / "store" / "crafted").glob("*.json"))) == -(-COUNT // chunk)


def test_as_many_pass_together_as_the_batch_holds(tmp_path: Path, calls: Calls) -> None:
    for size in (1, 40, 50, 149, 150):
        calls.ids.clear()
        crafted_by(FGSM, tmp_path / str(size), batch_size=size)
        together = {1: [1] * COUNT, 40: [40, 10, 40, 10, 10], 50: [50, 50, 10], 149: [100, 10], 150: [110]}
        assert [len(ids) for ids in calls.ids] == together[size]
        assert [image for ids in calls.ids for image in ids] == list(range(COUNT))


class Cramped(InFloat64):
    """It has room for `room` images, or for none in the backward pass of more when `backward`."""

    def __init__(self, room: int, error: BaseException, *, backward: bool = False) -> None:
        super().__init__()
        self.room, self.error, self.backward = room, error, backward
        self.held: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.room and (images.requires_grad or not self.backward):
            raise self.error
        self.held.append(len(images))
        return super().forward(images)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        MemoryError(),
    ],
    ids=["CUDA", "CPU", "Python"],
)
def test_a_batch_that_does_not_fit_is_halved_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: BaseException, backward: bool
) -> None:
    model = Cramped(8, error, backward=backward)
    with caplog.at_level(logging.WARNING, "erbench"):
        crafted = crafted_by(PGD, tmp_path, model, batch_size=100)
    # halved four times: 50, 25, 12, 6; and the batches after the first stay at 6
    expected = ["100 images do not fit in memory under pgd; it is done with 6 at a time"]
    assert [record.getMessage() for record in caplog.records] == expected
    assert torch.allclose(crafted.images, in_one_batch(PGD).images, rtol=0, atol=1e-6)
    assert max(model.held[-50:]) == 6


def test_one_image_at_a_time_still_works_and_less_is_an_error(tmp_path: Path) -> None:
    error = torch.OutOfMemoryError("no room")
    crafted = crafted_by(FGSM, tmp_path / "one", Cramped(1, error))
    assert torch.allclose(crafted.images, in_one_batch(FGSM).images, rtol=0, atol=1e-6)
    with pytest.raises(ModelError, match="not even one image fits in memory under fgsm: no room"):
        crafted_by(FGSM, tmp_path / "none", Cramped(0, error))


@pytest.fixture
def other_library() -> Iterator[Order]:
    """FGSM by a registered backend called other, which is our own FGSM; it is gone after the test."""
    BACKENDS.names()  # plugins first
    BACKENDS.add(BackendEntry(name="other", summary="", source="", package="numpy", attacks={"fgsm": fgsm}))
    yield replace(FGSM, backend="other")
    BACKENDS._entries.pop("other", None)


def test_another_library_is_given_whole_chunks_whatever_the_batch_size(
    tmp_path: Path, calls: Calls, other_library: Order
) -> None:
    for size in (1, 40, 150, 1000):
        calls.ids.clear()
        crafted_by(other_library, tmp_path / str(size), batch_size=size)
        assert [len(ids) for ids in calls.ids] == [50, 50, 10]


def test_another_librarys_chunk_that_does_not_fit_is_an_error(
    tmp_path: Path, calls: Calls, other_library: Order
) -> None:
    says = "50 images do not fit in memory under fgsm with --backend other, .* --backend native takes fewer"
    with pytest.raises(ModelError, match=says):
        crafted_by(other_library, tmp_path, Cramped(49, torch.OutOfMemoryError("no room")))
    assert len(calls.ids) == 1


def test_other_errors_are_not_tried_again(tmp_path: Path, calls: Calls) -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError) as caught:
        crafted_by(FGSM, tmp_path, Cramped(8, error))
    assert caught.value is error
    assert len(calls.ids) == 1


def test_only_what_the_store_lacks_is_crafted(tmp_path: Path, calls: Calls) -> None:
    first = crafted_by(PGD, tmp_path, batch_size=50)
    assert len(calls.ids) == 3
    (middle,) = [
        path
        for path in (tmp_path / "store" / "crafted").glob("*.json")
        if '"sample_ids": [\n   50,' in path.read_text()
    ]
    middle.unlink()
    calls.ids.clear()
    again = crafted_by(PGD, tmp_path, batch_size=50)
    assert calls.ids == [list(range(50, 100))]
    assert torch.equal(again.images, first.images)


def test_what_lacks_a_trace_is_crafted_again_when_one_is_asked_for(tmp_path: Path, calls: Calls) -> None:
    plain = crafted_by(PGD, tmp_path)
    assert plain.trace is None
    traced = crafted_by(PGD, tmp_path, traced=True)
    assert traced.trace is not None
    assert torch.equal(traced.images, plain.images)
    calls.ids.clear()
    again = crafted_by(PGD, tmp_path, traced=True)
    assert again.trace is not None
    assert torch.equal(again.trace.margin.nan_to_num(9), traced.trace.margin.nan_to_num(9))
    assert torch.equal(crafted_by(PGD, tmp_path).images, plain.images)
    assert calls.ids == []


def test_nothing_to_attack_is_nothing_to_complain_of(tmp_path: Path) -> None:
    crafted = craft_all(PGD, fitted(network()), victims(0), Workspace(results_dir=tmp_path))
    assert (crafted.images.shape, crafted.vanished.shape) == ((0, 1, 28, 28), (0,))


# ---- gradients that vanish


class Quantized(InFloat64):
    """Pixels are rounded first, so that nothing has a slope."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward((16 * images).round() / 16)


@pytest.mark.parametrize("order", [FGSM, PGD, CW], ids=lambda order: order.attack)
def test_vanishing_gradients_are_an_error_and_never_robustness(tmp_path: Path, order: Order) -> None:
    for _ in range(2):  # crafted, and then from the store; that some images are misclassified changes nothing
        with pytest.raises(ModelError, match=r"gradients vanish: .* all 99 images .* \(11 do\) .* --attack square"):
            crafted_by(order, tmp_path, Quantized())
    crafted_by(SQUARE, tmp_path, Quantized())  # asks for no gradient


def test_an_image_that_meets_the_goal_as_it_is_needs_no_gradient(tmp_path: Path) -> None:
    everyone = victims(COUNT)
    wrong = (network()(everyone.images).argmax(dim=1) != everyone.goal.classes).nonzero().flatten()
    order = replace(CW, config=CwConfig(steps=3, search_steps=1))  # C&W's hinge has no slope there
    crafted = craft_all(order, fitted(network()), everyone.select(wrong), Workspace(results_dir=tmp_path / "store"))
    assert crafted.vanished.all()
    options: dict[str, Any] = {"attack": "cw", "steps": 3, "search_steps": 1, "n_test": 100}
    _, model, _, weights = bring(tmp_path)
    (record,) = run(model=model, weights=weights, results_dir=tmp_path, **options)
    assert record.rate("accuracy_on_attacked").successes < 100
    assert not [note for note in record.notes if "gradient" in note]


def test_a_record_says_how_many_gradients_vanished(tmp_path: Path) -> None:
    _, model, _, weights = bring(tmp_path, FLAT_FOR_BRIGHT)
    (record,) = run(model=model, weights=weights, attack="fgsm", n_test=100, results_dir=tmp_path)
    outcomes = load_outcomes(tmp_path / "runs" / record.run_id)
    clean = outcomes[outcomes["kind"] == "clean"]
    images = digits().test.images(torch.tensor(clean["sample_id"].to_numpy()))
    bright = images.mean(dim=(1, 2, 3)).numpy() > 0.36
    count = int((bright & clean["correct"].to_numpy()).sum())  # a wrong image's cross-entropy has a slope
    unmet = int(clean["correct"].sum())
    assert 0 < count < unmet / 2
    (note,) = [note for note in record.notes if "gradient" in note]
    assert f"exactly zero at every step for {count} of {unmet} images that do not meet the goal as they are" in note
    assert f"that {count} of them withstand says nothing" in note  # FGSM left them where they were
    assert record.metrics["gradients_vanish"] == plain(rate(count, unmet))
    flags = {flag["name"]: flag for flag in record.flags}
    assert ("vanishing-gradients" in flags) == (count > 0.1 * unmet)


# the softmax of every image is flat: their logits differ by far more than float32's exponents
SATURATED = FLAT_FOR_BRIGHT.replace("> 0.36", "> 0").replace("1e5", "SCALE")


def saturated(folder: Path, scale: str, **options: Any) -> Record:
    _, model, _, weights = bring(folder, SATURATED.replace("SCALE", scale))
    (record,) = run(model=model, weights=weights, n_test=60, results_dir=folder, **options)
    return record


@pytest.mark.parametrize("options", [{}, {"backend": "torchattacks"}, {"backend": "foolbox"}], ids=str)
def test_one_misclassified_image_does_not_make_a_flat_softmax_robust(tmp_path: Path, options: dict[str, str]) -> None:
    if options:
        pytest.importorskip(options["backend"])
    for attack in ("fgsm", "pgd"):
        with pytest.raises(ModelError, match=r"gradients vanish: .* all \d+ images that do not .* \(\d+ do\)"):
            saturated(tmp_path, "1e8", attack=attack, steps=2 if attack == "pgd" else None, **options)
    # C&W climbs the margin, which is not flat
    strict = {"attack": "cw", "steps": 5, "search_steps": 1, **options}
    assert "gradients_vanish" not in saturated(tmp_path, "1e8", **strict).metrics


@pytest.mark.parametrize("options", [{}, {"backend": "torchattacks"}], ids=str)
def test_where_half_of_the_gradients_vanish_the_table_says_so(tmp_path: Path, options: dict[str, str]) -> None:
    if options:
        pytest.importorskip(options["backend"])
    record = saturated(tmp_path, "16", attack="fgsm", epsilon=0.1, **options)
    vanish = record.rate("gradients_vanish")
    assert vanish is not None
    assert vanish.n / 2 <= vanish.successes < vanish.n == record.rate("accuracy_on_attacked").successes
    outcomes = load_outcomes(tmp_path / "runs" / record.run_id)
    ids = torch.tensor(outcomes.loc[outcomes["kind"] == "clean", "sample_id"].to_numpy())
    logits = 16 * network()(digits().test.images(ids)).double()
    right = logits.argmax(dim=1) == digits().test.labels[ids]
    others = logits.sort(dim=1).values
    gap = (others[:, -1] - others[:, -2])[right]
    # float32's smallest number is exp(-103.3), its smallest normal one exp(-87.3)
    assert int((gap > 104).sum()) <= vanish.successes <= int((gap > 87).sum())
    (flag,) = [flag for flag in record.flags if flag["name"] == "vanishing-gradients"]
    assert f"at every step of the attack for {vanish.successes} of {vanish.n} images" in flag["sentence"]
    (row,) = [row for row in metrics_table([record]) if row[0] == "robust accuracy"]
    assert row[1].endswith(" (!)")
    for table in (
        render(methods_tables([record]), "markdown"),
        (tmp_path / "runs" / record.run_id / "table.tex").read_text(),
    ):
        assert "] (!)" in table
        assert "(!) sanity flags: " in table
        assert "vanishing-gradients" in table


def test_what_a_backend_looks_at_unseen_we_look_at_ourselves(tmp_path: Path, other_library: Order) -> None:
    def looks_past_the_probe(probe: Any, images: Tensor, config: Any, draws: Any) -> Tensor:
        return fgsm(Probe(probe.forward, probe.goal, draws.sample_ids), images, config, draws)

    BACKENDS._entries["other"] = replace(BACKENDS.get("other"), attacks={"fgsm": looks_past_the_probe})
    everyone = victims(COUNT)
    asked = everyone.images, everyone.goal, FGSM.config, Draws(seed=0, sample_ids=everyone.sample_ids)
    crafted = craft(other_library.entry, InFloat64(), *asked)
    assert (crafted.passes, crafted.vanished.any()) == (COUNT, False)  # the look that we take is not the attack's
    crafted = craft(other_library.entry, Quantized(), *asked)
    assert torch.equal(crafted.vanished, ~crafted.success)


# ---- what names crafted images


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "store" / "crafted").glob("*.json")}


def test_equal_ids_and_labels_of_other_images_never_share(tmp_path: Path, calls: Calls) -> None:
    ours = victims(10)
    others = replace(ours, images=ours.images.flip(3))  # mirrored: another dataset under the same model
    workspace = Workspace(results_dir=tmp_path)
    for some in (ours, others):
        crafted = craft_all(FGSM, fitted(InFloat64()), some, workspace)
        farthest = (crafted.images - some.images).abs().max()  # what FGSM's one step makes it: the budget
        assert float(farthest) == pytest.approx(0.1, abs=1e-6)
    assert len(calls.ids) == len(names(tmp_path)) == 2
    craft_all(FGSM, fitted(InFloat64()), others, workspace)
    assert len(calls.ids) == 2


def keys(tmp_path: Path, order: Order, number: int) -> set[str]:
    crafted_by(order, tmp_path / str(number), network())
    return names(tmp_path / str(number))


def test_orders_that_differ_never_share_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torchattacks", "foolbox"):
        pytest.importorskip(package)
    orders = [
        FGSM,
        replace(FGSM, backend="torchattacks"),
        replace(FGSM, backend="foolbox"),
        replace(FGSM, precision="bfloat16"),
        replace(FGSM, config=FgsmConfig(epsilon=0.2)),
        replace(FGSM, seed=1),
    ]
    found = [keys(tmp_path, order, number) for number, order in enumerate(orders)]
    assert all(len(part) == 3 for part in found)
    assert len(set.union(*found)) == 3 * len(orders)
    assert keys(tmp_path, FGSM, 100) == found[0]

    installed = contract.version
    change: Callable[[str], str] = lambda package: installed(package) + ".post1"  # noqa: E731
    monkeypatch.setattr(contract, "version", change)
    assert keys(tmp_path, FGSM, 101) == found[0]  # ours alone
    assert not keys(tmp_path, orders[1], 102) & found[1]
    assert not keys(tmp_path, orders[2], 103) & found[2]
