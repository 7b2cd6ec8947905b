"""`bench crosscheck`: what it prints and writes of one attack by several implementations, and what it refuses."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from class_means import FLAT_FOR_BRIGHT, bring, digits, network
from small_runs import BASELINE, Ended
from torch import Tensor

from attacks.backends.contract import BackendEntry
from attacks.backends.registry import BACKENDS
from attacks.fgsm import fgsm
from attacks.losses import margin_loss
from attacks.pgd import PGD
from bench.crosscheck import choose_backends

Bench = Callable[..., Ended]


@pytest.fixture
def mine(tmp_path: Path) -> list[str]:
    """Arguments for the nearest class mean, on the first few images."""
    return [*bring(tmp_path / "mine"), "--n-test", "20", "--results-dir", str(tmp_path / "results")]


@pytest.fixture
def rival() -> Iterator[Callable[..., None]]:
    """Register another backend, called rival; it is gone after the test."""

    def add(attack: Callable[..., Tensor], **more: Any) -> None:
        BACKENDS.names()  # plugins first
        BACKENDS.add(
            BackendEntry(name="rival", summary="", source="", package="numpy", attacks={"fgsm": attack}, **more)
        )

    yield add
    BACKENDS._entries.pop("rival", None)


class Shown(NamedTuple):
    """How a call ended, and the table that it wrote: by implementation, cells by row title."""

    code: int
    out: str
    columns: dict[str, dict[str, str]]


@pytest.fixture
def crosschecked(bench: Bench, tmp_path: Path) -> Callable[..., Shown]:
    def call(*arguments: str) -> Shown:
        path = tmp_path / "table.md"
        ended = bench("crosscheck", *arguments, "--out", str(path))
        assert ended.out.endswith(f"wrote {path}\n")
        lines = [line for line in path.read_text().splitlines() if line.startswith("| ")]
        head, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
        for cell in [*head, *(cell for row in rows for cell in row)]:
            assert cell in ended.out
        for line in path.read_text().partition("\n- ")[2].splitlines():
            assert line.removeprefix("- ") in ended.out
        names = [name.split()[0] for name in head[1:]]
        return Shown(
            ended.code, ended.out, {name: {row[0]: row[place] for row in rows} for place, name in enumerate(names, 1)}
        )

    return call


@pytest.mark.parametrize("attack", ["fgsm", "pgd", "cw"])
def test_every_installed_implementation_is_shown(
    crosschecked: Callable[..., Shown], mine: list[str], attack: str
) -> None:
    for package in ("torchattacks", "foolbox"):
        pytest.importorskip(package)
    budget = {"fgsm": [], "pgd": ["--steps", "4"], "cw": ["--steps", "15", "--search-steps", "2", "--initial-c", "10"]}
    shown = crosschecked("--attack", attack, *mine, *budget[attack])
    assert shown.code == 0
    assert f"{attack} on mine.py:make (digits, recipe none), 20 test images that it gets right" in shown.out
    assert list(shown.columns) == ["native", "torchattacks", "foolbox"]
    for column in shown.columns.values():
        assert column["reached"] == column["misclassified"]
        assert column["reached"].endswith("n=20")
        assert float(column["median L2"]) > 0.5
        assert float(column["passes an image"]) >= 1
    for name in ("torchattacks", "foolbox"):
        assert f"native and {name} agree on " in shown.out
        assert (f"times {name}'s where both reach it" in shown.out) is (attack == "cw")
    if attack == "fgsm":  # has one right answer
        same = [{**column, "seconds": ""} for column in shown.columns.values()]
        assert same[0] == same[1] == same[2]
        assert "native and foolbox agree on 20 of 20 images (both reach " in shown.out
    kept = {path.name for path in Path(mine[-1]).glob("*/*")}
    assert not kept & {"crafted", "classifiers"}  # what is timed is never taken from the store
    assert not (Path(mine[-1]) / "runs").exists()


def test_only_images_that_the_model_gets_right_are_attacked(
    bench: Bench, mine: list[str], rival: Callable[..., None]
) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(probe: Any, images: Tensor, config: Any, draws: Any) -> Tensor:
        seen.append((draws.sample_ids, probe.goal.classes))
        return fgsm(probe, images, config, draws)

    rival(keep)
    more = ["--backends", "rival", "--batch-size", "8", *mine, "--n-test", "60"]
    assert bench("crosscheck", "--attack", "fgsm", *more).code == 0
    assert [len(ids) for ids, _ in seen] == [50, 10]  # as in a run, whatever the batch size
    ids, classes = (torch.cat(parts) for parts in zip(*seen, strict=True))
    test = digits().test
    assert torch.equal(test.labels[ids], classes)
    assert torch.equal(network()(test.images(ids)).argmax(dim=1), classes)
    assert len(set(ids.tolist())) == 60


def test_a_better_peer_ends_in_exit_code_one(
    crosschecked: Callable[..., Shown], tmp_path: Path, rival: Callable[..., None]
) -> None:
    def along_the_margin(probe: Any, images: Tensor, config: Any, _draws: Any) -> Tensor:
        look = probe.gradient(images, torch.arange(len(images)), margin_loss, step=0)
        return (images + config.epsilon * look.gradient.sign()).clamp(0, 1)

    rival(along_the_margin)
    flat = bring(tmp_path, FLAT_FOR_BRIGHT.replace("> 0.36", "> 0.32"))  # cross-entropy has no slope for most
    place = ["--n-test", "20", "--results-dir", str(tmp_path / "results")]
    shown = crosschecked("--attack", "fgsm", "--backends", "rival", *flat, *place)
    assert shown.code == 1
    ours, theirs = (float(column["reached"].split()[0]) for column in shown.columns.values())
    assert ours < 50
    assert theirs == 100
    assert "! rival reaches the goal more often than native, beyond native's interval" in shown.out
    assert "! native is beaten" in shown.out


def test_vanishing_gradients_are_told_and_are_no_numbers(
    bench: Bench, crosschecked: Callable[..., Shown], mine: list[str], tmp_path: Path, rival: Callable[..., None]
) -> None:
    flat = bring(tmp_path / "flat", FLAT_FOR_BRIGHT.replace("> 0.36", "> 0"))  # no slope anywhere
    ended = bench("crosscheck", "--attack", "fgsm", *flat, "--n-test", "20", "--results-dir", str(tmp_path / "results"))
    assert ended.code == 2
    assert "gradients vanish: the loss gradient is exactly zero for all 20 images" in ended.err

    def asks_for_nothing_useful(probe: Any, images: Tensor, _config: Any, _draws: Any) -> Tensor:
        probe.gradient(images, torch.arange(len(images)), lambda logits, _goal: 0 * logits.sum(dim=1), step=0)
        return images

    rival(asks_for_nothing_useful)
    shown = crosschecked("--attack", "fgsm", "--backends", "rival", *mine)
    assert shown.columns["rival"]["reached"] == "no numbers"
    assert "! rival: gradients vanish: the loss gradient is exactly zero for all 20 images" in shown.out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda images: (images + 0.2).clamp(0, 1), "adversarial images are 0.2000 from the clean ones, the budget"),
        (lambda images: images + 0.05, "adversarial images of set 'test' leave [0, 1]"),
        (lambda images: images * torch.nan, "the attack fgsm gave back images of another shape or with NaN"),
    ],
    ids=["ball", "box", "NaN"],
)
def test_images_out_of_bounds_give_no_numbers(
    crosschecked: Callable[..., Shown],
    mine: list[str],
    rival: Callable[..., None],
    change: Callable[[Tensor], Tensor],
    says: str,
) -> None:
    rival(lambda _probe, images, _config, _draws: change(images))
    shown = crosschecked("--attack", "fgsm", "--epsilon", "0.1", "--backends", "rival", *mine)
    assert shown.code == 0  # native has its numbers
    assert set(list(shown.columns["rival"].values())[:7]) == {"no numbers"}
    assert shown.columns["native"]["reached"].endswith("n=20")
    assert f"! rival: {says}" in shown.out


def test_a_trained_defense_takes_every_step(crosschecked: Callable[..., Shown], stored: Path) -> None:
    pytest.importorskip("foolbox")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in BASELINE.items()]
    options += ["--steps", "2", "--epsilon", "0.1", "--step-size", "0.05", "--n-test", "10", "--backends", "foolbox"]
    shown = crosschecked("--attack", "pgd", *options, "--results-dir", str(stored))
    assert shown.code == 0
    title = "pgd on standard (digits, recipe quick), 10 test images that it gets right, seed 0; epsilon 0.1, step size"
    assert shown.out.startswith(title)
    assert "until end" in shown.out.splitlines()[0]
    # two steps of all images; native looks at the last iterate too
    assert [column["passes an image"] for column in shown.columns.values()] == ["3", "2"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--attack is needed: fgsm, pgd or cw"),
        (["--attack", "fgsm", "--defense", "kd"], "crosscheck compares attacks on a classifier; 'kd' is a detector"),
        (["--attack", "fgsm,pgd"], "give each option one value"),
        (["--attack", "pgd", "--steps", "2,3"], "give each option one value"),
        (["--attack", "fgsm", "--backends", "foolbocks"], "unknown backend 'foolbocks'; did you mean 'foolbox'"),
        (["--attack", "square"], "nothing to compare: no backend but native has square; they have fgsm, pgd, cw"),
        (["--attack", "apgd-ce"], "nothing to compare: no backend but native has apgd-ce"),
        (
            ["--attack", "pgd", "--backends", "native"],
            "pgd is also in torchattacks, foolbox, none of which was asked for",
        ),
        (["--attack", "square", "--backends", "foolbox"], "--backend foolbox has no square"),
        (["--attack", "fgsm", "--n-test", "501"], "more than the 500 test images"),
    ],
)
def test_refusals_come_before_any_training(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("bench.fitting._train", refuse)
    ended = bench("crosscheck", *arguments, "--results-dir", str(tmp_path / "results"))
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_every_installed_backend_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attacks.backends.contract.find_spec", lambda package: package == "foolbox" or None)
    assert choose_backends(PGD.name) == ["native", "foolbox"]


def test_without_any_library_it_says_what_to_install(
    bench: Bench, mine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attacks.backends.contract.find_spec", lambda _package: None)
    ended = bench("crosscheck", "--attack", "fgsm", *mine)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: nothing to compare: fgsm is also in torchattacks, foolbox, none of which is installed: "
        "pip install 'erbench[backends]'\n"
    )


@pytest.mark.parametrize(("asked", "until"), [([], "end"), (["--until", "success"], "success")])
def test_any_attack_that_could_stop_early_goes_to_its_end(
    crosschecked: Callable[..., Shown], mine: list[str], asked: list[str], until: str
) -> None:
    seen = []

    def keep(probe: Any, images: Tensor, config: Any, _draws: Any) -> Tensor:
        seen.append(config.until)
        return images + 0 * probe.forward(images).sum()

    BACKENDS.names()
    BACKENDS.add(BackendEntry(name="rival", summary="", source="", package="numpy", attacks={"apgd-ce": keep}))
    try:
        shown = crosschecked("--attack", "apgd-ce", "--steps", "4", "--backends", "rival", *mine, *asked)
    finally:
        BACKENDS._entries.pop("rival", None)
    assert seen == [until]
    passes = float(shown.columns["native"]["passes an image"])
    assert (passes == 5) if until == "end" else (passes < 5)


def test_help_does_not_promise_a_grid_or_detectors(bench: Bench) -> None:
    out = " ".join(bench("crosscheck", "--help").out.split())
    assert "grid" not in out
    assert "etector" not in out
    assert "--until" in out
