"""Other libraries' attacks behind our contract: their images are measured here, and their own word counts for nothing.

Distances and margins are recomputed; with one forward and one backward pass, FGSM has only one right answer.
"""

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import draws_for, probe_for, random_images, small_network
from torch import Tensor, nn

from attacks.backends import contract
from attacks.backends.contract import BackendEntry, seeded, worst_of_restarts
from attacks.backends.registry import BACKENDS, NATIVE, check_backend
from attacks.contract import CraftedBatch, craft
from attacks.cw import CwConfig
from attacks.errors import RequestError
from attacks.fgsm import FgsmConfig
from attacks.goal import Goal
from attacks.pgd import PgdConfig
from attacks.registry import ATTACKS
from bench.judge import Exhibit, judge

COUNT = 14
NETWORK = small_network()
PEERS = ("torchattacks", "foolbox")
CONFIGS: dict[str, Any] = {
    "fgsm": FgsmConfig(epsilon=0.05),
    "pgd": PgdConfig(epsilon=0.05, step_size=0.02, steps=5, restarts=2),
    "cw": CwConfig(steps=40, search_steps=2, initial_c=5),
}
EVERY_PAIR = [(backend, attack) for backend in PEERS for attack in CONFIGS]


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> None:
    """Skip what needs a library that is not there."""
    backend = getattr(request.node, "callspec", None) and request.node.callspec.params.get("backend")
    if backend in PEERS:
        pytest.importorskip(backend)


def _by(backend: str, attack: str, images: Tensor, goal: Goal, config: Any = None, seed: int = 0) -> CraftedBatch:
    native = ATTACKS.get(attack)
    entry = native.by(BACKENDS.get(backend).attack(attack, native.attack))
    return craft(entry, NETWORK, images, goal, config or CONFIGS[attack], draws_for(COUNT, seed))


def _away(images: Tensor) -> Goal:
    """Get away from the predicted classes."""
    with torch.no_grad():
        return Goal(classes=NETWORK(images).argmax(dim=1))


@pytest.mark.parametrize(("backend", "attack"), EVERY_PAIR)
def test_the_judge_accepts_what_comes_back(backend: str, attack: str) -> None:
    images = random_images(COUNT)
    images[:, :, 0] = images[:, :, 0].round()  # pixels at the walls of the box
    goal, config = _away(images), CONFIGS[attack]
    crafted = _by(backend, attack, images, goal)
    exhibit = Exhibit(
        role="test",
        kind="adversarial",
        sample_ids=torch.arange(COUNT),
        labels=goal.classes,
        images=crafted.images,
        clean=images,
        goal=goal,
        config=config,
    )
    outcomes = judge(NETWORK, None, exhibit)  # raises outside of ball or box
    assert outcomes["reached"].tolist() == crafted.success.tolist()
    assert crafted.success.sum() > 0
    assert (crafted.images - images).abs().max() > 0.01
    assert crafted.passes > 0
    if attack != "cw":
        # in five steps of 0.02 from wherever it starts, or in one of 0.05, an image comes to the wall of its ball
        assert float(crafted.linf.min()) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("backend", PEERS)
def test_fgsm_is_the_same_to_the_last_bit(backend: str, targeted: bool) -> None:
    images = random_images(COUNT)
    goal = Goal(classes=(_away(images).classes + 1) % 5, targeted=True) if targeted else _away(images)
    ours = _by("native", "fgsm", images, goal).images
    assert torch.equal(_by(backend, "fgsm", images, goal).images, ours)
    assert not torch.equal(ours, images)


@pytest.mark.parametrize(("backend", "attack"), [*EVERY_PAIR, ("native", "pgd"), ("native", "cw")])
def test_a_target_is_gone_for(backend: str, attack: str) -> None:
    images = random_images(COUNT)
    goal = Goal(classes=(_away(images).classes + 1) % 5, targeted=True)
    config = CONFIGS["cw"] if attack == "cw" else replace(CONFIGS[attack], epsilon=0.3)
    crafted = _by(backend, attack, images, goal, config)
    with torch.no_grad():
        predicted = NETWORK(crafted.images).argmax(dim=1)
    assert torch.equal(predicted == goal.classes, crafted.success)
    assert crafted.success.sum() > COUNT / 3  # a fifth would come by chance


@pytest.mark.parametrize(("backend", "attack"), EVERY_PAIR)
def test_the_same_draws_give_the_same_images_and_no_generator_is_touched(backend: str, attack: str) -> None:
    images = random_images(COUNT)
    goal = _away(images)
    config = replace(CONFIGS["pgd"], steps=1, restarts=1) if attack == "pgd" else None
    first = _by(backend, attack, images, goal, config).images
    torch.manual_seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    again = _by(backend, attack, images, goal, config).images
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    assert torch.equal(again, first)
    other = _by(backend, attack, images, goal, config, seed=1).images
    assert torch.equal(other, first) is (attack != "pgd")  # PGD alone starts at random


def test_a_block_is_seeded_by_seed_first_image_and_round() -> None:
    def drawn(seed: int, first: int, round_: int) -> float:
        draws = replace(draws_for(3, seed), sample_ids=torch.arange(first, first + 3))
        with seeded(draws, round_, torch.device("cpu")):
            return torch.rand(1).item()

    assert drawn(0, 0, 0) == drawn(0, 0, 0)
    assert len({drawn(*place) for place in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}) == 4


def test_each_image_keeps_the_worst_of_its_restarts() -> None:
    images = random_images(3)
    runs = torch.rand(4, *images.shape)
    with torch.no_grad():
        margins = torch.stack([_away(images).margin(NETWORK(run)) for run in runs])  # (restarts, n)
    probe = probe_for(NETWORK, _away(images))
    worst = worst_of_restarts(lambda restart: runs[restart], probe, images, 4)
    assert torch.equal(worst, runs[margins.argmax(dim=0), torch.arange(3)])
    assert probe.passes == 4 * 3
    assert torch.equal(worst_of_restarts(lambda restart: runs[restart], probe, images, 1), runs[0])
    assert probe.passes == 4 * 3  # one run has nothing to be compared with


# ---- what libraries say of themselves


@pytest.mark.parametrize("backend", ["foolbox"])
def test_an_image_of_zeros_stands_for_nothing_found(backend: str) -> None:
    images = random_images(COUNT, low=0.2)
    goal = _away(images)
    out_of_reach = CwConfig(confidence=1e4, steps=2, search_steps=1)  # the network's logits are bounded
    probe = probe_for(NETWORK, goal)
    native = ATTACKS.get("cw").attack
    given_back = BACKENDS.get(backend).attack("cw", native)(probe, images, out_of_reach, draws_for(COUNT))
    assert torch.equal(given_back, images)


@pytest.mark.parametrize("backend", ["torchattacks"])
def test_a_success_that_misses_the_confidence_does_not_count(backend: str) -> None:
    images = random_images(COUNT)
    goal = _away(images)
    config = CwConfig(confidence=1e4, steps=40, search_steps=2, initial_c=5)
    crafted = _by(backend, "cw", images, goal, config)
    assert (crafted.margin > 0).sum() > COUNT / 2  # it gives back misclassified images, as successes
    assert not crafted.success.any()


class Probabilities(nn.Module):
    """A network that ends in a softmax."""

    def forward(self, images: Tensor) -> Tensor:
        return NETWORK(images).softmax(dim=1)


@pytest.mark.parametrize("backend", PEERS)
def test_the_contracts_own_checks_hold_for_libraries_too(backend: str) -> None:
    native = ATTACKS.get("cw")
    entry = native.by(BACKENDS.get(backend).attack("cw", native.attack))
    images = random_images(COUNT)
    with pytest.raises(Exception, match="look like probabilities"):
        craft(entry, Probabilities().eval(), images, _away(images), CONFIGS["cw"], draws_for(COUNT))


# ---- which backends there are


def test_what_is_not_there_is_refused_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="unknown backend 'foolbocks'; did you mean 'foolbox'"):
        BACKENDS.get("foolbocks")
    foolbox, apgd = BACKENDS.get("foolbox"), ATTACKS.get("apgd-ce")
    with pytest.raises(RequestError, match="--backend foolbox has no apgd-ce; it has: fgsm, pgd, cw"):
        check_backend(foolbox, apgd, ())
    check_backend(NATIVE, apgd, {"until", "steps"})
    monkeypatch.setattr(contract, "find_spec", lambda _package: None)
    assert [entry.name for entry in BACKENDS if entry.is_installed] == ["native"]
    for name in PEERS:
        with pytest.raises(
            RequestError, match=rf"--backend {name} is not installed: pip install 'erbench\[backends\]'"
        ):
            check_backend(BACKENDS.get(name), ATTACKS.get("pgd"), ())


@pytest.mark.parametrize("backend", PEERS)
def test_an_option_that_a_library_does_not_know_is_refused_where_it_is_given(backend: str) -> None:
    entry, pgd = BACKENDS.get(backend), ATTACKS.get("pgd")
    check_backend(entry, pgd, {"steps", "restarts", "epsilon", "step_size"})
    with pytest.raises(RequestError, match=f"--backend {backend} does not know --until for pgd"):
        check_backend(entry, pgd, {"steps", "until"})


def test_a_version_is_the_installed_packages_own() -> None:
    assert NATIVE.version == ""
    absent = BackendEntry(name="absent", summary="", source="", package="no_such_package")
    assert (absent.is_installed, absent.version) == (False, "")
    for name in PEERS:
        module = pytest.importorskip(name)
        assert BACKENDS.get(name).version == module.__version__


PROGRAM = """
import sys
from bench.api import run
from bench.crosscheck import choose_backends
run(model=sys.argv[1] + "/net.py:net", attack=["fgsm", "pgd"], steps=1, n_test=2, results_dir=sys.argv[1])
choose_backends("pgd", ["foolbox"])
print({"torchattacks", "foolbox", "eagerpy"} & set(sys.modules), "torch" in sys.modules)
"""


def test_no_library_is_imported_unless_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\nnet = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n")
    done = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() True"
