"""The user's own model through the program: `bench run --model FILE.py:FACTORY --weights FILE`.

The model is linear, so that its verdicts are computed again here with NumPy from the stored images' indices.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from class_means import SOURCE, bring, digits, network, weights
from numpy.typing import NDArray
from small_runs import Ended

from attacks.contract import craft
from attacks.draws import Draws
from attacks.errors import ModelError
from attacks.goal import Goal
from attacks.pgd import PGD, PgdConfig
from bench.api import run
from bench.record import Record, load_outcomes, load_records
from bench.sweep import plan
from bench.workspace import Workspace

Bench = Callable[..., Ended]
BUDGET = ["--attack", "pgd", "--steps", "3", "--epsilon", "0.08", "--step-size", "0.04", "--n-test", "40"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def attacked(bench: Bench, results: Path) -> Callable[..., Record]:
    """Run PGD on a model, and return the record that the call left or found; it must end well."""

    def call(*arguments: str) -> Record:
        ended = bench("run", *BUDGET, *arguments, "--results-dir", str(results))
        assert ended.code == 0, ended.err
        (run_id,) = {line.rsplit("/")[-1] for line in ended.out.splitlines() if line.startswith(str(results))}
        (record,) = [record for record in load_records(results) if record.run_id == run_id]
        return record

    return call


def refuse(*_arguments: object, **_more: object) -> None:
    raise AssertionError("attacked again")


def test_a_record_appears_and_answers_the_same_command(
    attacked: Callable[..., Record], tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = bring(tmp_path / "mine")
    first = attacked(*mine)
    assert first.status == "done"
    assert first.label == "mine.py:make · pgd"
    assert (first.spec["defense"], first.spec["recipe"], first.spec["classifier"]["name"]) == (
        "mine.py:make",
        "none",
        "model",
    )
    assert first.code["classifier"] == ""
    files = sorted(path.name for path in (results / "runs" / first.run_id).iterdir())
    assert files == ["examples.png", "outcomes.parquet", "record.json", "table.tex"]
    assert "--model" in first.command
    monkeypatch.setattr("bench.crafting.craft", refuse)
    monkeypatch.setattr("bench.evaluate_classifier.judge", refuse)
    assert attacked(*mine) == first
    assert len(load_records(results)) == 1


def _predicted(images: NDArray[np.float32]) -> NDArray[np.int64]:
    """The nearest class mean, by distances instead of the linear layer."""
    means = weights()["1.weight"].numpy().astype(np.float64)
    return np.linalg.norm(images.reshape(len(images), 1, -1) - means, axis=2).argmin(axis=1)


def test_robust_accuracy_is_that_of_the_attacked_images(
    attacked: Callable[..., Record], tmp_path: Path, results: Path
) -> None:
    record = attacked(*bring(tmp_path))
    outcomes = load_outcomes(results / "runs" / record.run_id)
    ids = torch.tensor(outcomes.loc[outcomes["kind"] == "adversarial", "sample_id"].to_numpy())
    images, labels = digits().test.images(ids), digits().test.labels[ids]
    config = PgdConfig(epsilon=0.08, step_size=0.04, steps=3)  # every step, unlike the run
    crafted = craft(PGD, network(), images, Goal(classes=labels), config, Draws(seed=0, sample_ids=ids))
    right = _predicted(images.numpy()) == labels.numpy()
    robust = right & (_predicted(crafted.images.numpy()) == labels.numpy())
    assert 5 < robust.sum() < right.sum() - 5
    assert record.metrics["robust_accuracy"]["successes"] == robust.sum()
    assert record.metrics["accuracy_on_attacked"]["successes"] == right.sum()
    everything = digits().test
    clean = (_predicted(everything.images(slice(None)).numpy()) == everything.labels.numpy()).sum()
    assert record.metrics["clean_accuracy"]["successes"] == clean
    assert record.metrics["clean_accuracy"]["n"] == 500


def test_another_source_or_other_weights_are_another_run(attacked: Callable[..., Record], tmp_path: Path) -> None:
    mine = bring(tmp_path / "mine")
    first = attacked(*mine)
    moved = attacked(*bring(tmp_path / "else" / "where"))
    assert moved.run_id == first.run_id

    edited = attacked(*bring(tmp_path / "mine", SOURCE + "# a remark\n"))
    assert edited.run_id != first.run_id
    assert edited.metrics == first.metrics

    bring(tmp_path / "mine")
    saved = {name: value.clone() for name, value in weights().items()}
    torch.save(saved, tmp_path / "same.pt")
    assert attacked(*mine[:2], "--weights", str(tmp_path / "same.pt")).run_id == first.run_id  # the values count
    saved["1.bias"][3] += 5
    torch.save({"state_dict": saved}, tmp_path / "other.pth")
    other = attacked(*mine[:2], "--weights", str(tmp_path / "other.pth"))
    assert other.run_id not in {first.run_id, edited.run_id}
    assert other.metrics["clean_accuracy"] != first.metrics["clean_accuracy"]


def test_an_edited_model_is_never_answered_from_stored_images(tmp_path: Path, results: Path) -> None:
    options: dict[str, Any] = {"attack": "fgsm", "epsilon": 0.08, "n_test": 40, "results_dir": results}
    for source in (SOURCE, SOURCE.replace("10))", "10), nn.Identity())")):
        _, model, _, path = bring(tmp_path, source)
        run(model=model, weights=path, **options)
    first, second = load_records(results)
    assert second.run_id != first.run_id
    assert second.metrics == first.metrics
    assert len(list((results / "store" / "crafted").glob("*.json"))) == 2


def test_weights_may_come_with_the_factory(attacked: Callable[..., Record], tmp_path: Path) -> None:
    source = (
        SOURCE
        + f"""
def loaded():
    from safetensors.torch import load_file
    made = make()
    made.load_state_dict(load_file({str(tmp_path / "mine.safetensors")!r}))
    return made
"""
    )
    bring(tmp_path, source)
    given = attacked("--model", f"{tmp_path / 'mine.py'}:make", "--weights", str(tmp_path / "mine.safetensors"))
    own = attacked("--model", f"{tmp_path / 'mine.py'}:loaded")
    assert own.metrics == given.metrics
    assert own.run_id != given.run_id  # another factory


def test_a_model_stands_in_a_grid_of_attacks(tmp_path: Path, results: Path) -> None:
    _, model, _, path = bring(tmp_path)
    attacks = ["fgsm", "square", "noise"]
    records = run(model=model, weights=path, attack=attacks, epsilon=0.05, queries=20, n_test=20, results_dir=results)
    assert [record.spec["attack"] for record in records] == attacks
    assert len({record.metrics["clean_accuracy"]["successes"] for record in records}) == 1


@pytest.mark.parametrize(
    ("budget", "note"),
    [
        (["--epsilon", "0.001", "--steps", "2", "--step-size", "0.001"], None),  # a weak attack is no fault of its own
        (["--epsilon", "0.3", "--steps", "30", "--step-size", "0.01"], None),
        (
            ["--epsilon", "0.3", "--steps", "5", "--step-size", "0.01"],
            "5 steps of 0.01 reach 0.05 of epsilon 0.3: robustness is overstated; raise --steps or --step-size",
        ),
        (["--epsilon", "0.3", "--steps", "2", "--step-size", "0.6"], None),
        (
            ["--epsilon", "0.3", "--steps", "2", "--step-size", "0.7"],
            "a step of 0.7 leaps over the whole ball, 0.6 wide",
        ),
    ],
)
def test_a_record_says_when_its_steps_do_not_fit_the_ball(
    attacked: Callable[..., Record], tmp_path: Path, budget: list[str], note: str | None
) -> None:
    record = attacked(*bring(tmp_path), "--n-test", "5", *budget)
    assert [text[: len(note or "")] for text in record.notes] == ([note] if note else [])


# ---- refusals

BROKEN = {
    "shape": ("Linear(784, 9)", "must return logits (16, 10) float32 for 16 images; it returned (16, 9)"),
    "probabilities": ("Linear(784, 10), nn.Softmax(dim=1)", "the model gives probabilities"),
    "random": (
        "Linear(784, 10), type('On', (nn.Dropout,), {'forward': lambda s, x: nn.functional.dropout(x)})()",
        "random",
    ),
    "gradients": (
        "Linear(784, 10), type('Flat', (nn.Module,), {'forward': lambda s, x: x.round()})()",
        "gradients vanish",
    ),
}


@pytest.mark.parametrize(("layers", "says"), BROKEN.values(), ids=BROKEN)
def test_a_model_that_does_not_fit_ends_in_one_line(
    bench: Bench, tmp_path: Path, results: Path, layers: str, says: str
) -> None:
    _, model, *_ = bring(tmp_path, SOURCE.replace("Linear(784, 10)", layers))
    ended = bench("run", *BUDGET, "--model", model, "--results-dir", str(results))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert says in ended.err
    assert not results.exists()


def test_square_attacks_a_model_without_gradients(tmp_path: Path, results: Path) -> None:
    steps = """
class Net(nn.Sequential):
    def forward(self, images):
        return super().forward((64 * images).round() / 64)
"""
    _, model, _, path = bring(tmp_path, SOURCE.replace("nn.Sequential(", "Net(") + steps)
    options: dict[str, Any] = {"epsilon": 0.1, "n_test": 10, "results_dir": results}
    (record,) = run(model=model, weights=path, attack="square", queries=50, **options)
    assert record.metrics["attack_success_rate"]["successes"] > 0
    with pytest.raises(ModelError, match="gradients vanish: they are exactly zero for every image"):
        run(model=model, weights=path, attack="pgd", **options)


def test_only_cells_that_follow_gradients_fail_without_them(bench: Bench, tmp_path: Path, results: Path) -> None:
    layers = "Linear(784, 10), type('Flat', (nn.Module,), {'forward': lambda s, x: x.detach()})()"
    model = bring(tmp_path, SOURCE.replace("Linear(784, 10)", layers))[:2]
    place = ["--n-test", "10", "--epsilon", "0.1", "--results-dir", str(results)]
    ended = bench("run", *model, "--attack", "noise,fgsm", *place)
    assert ended.code == 1
    assert {record.spec["attack"]: record.status for record in load_records(results)} == {
        "noise": "done",
        "fgsm": "error",
    }
    assert (ended.out + ended.err).count("gradients cannot flow") == 1
    assert "mine.py:make · fgsm: no numbers (error): gradients cannot flow" in ended.out
    for attacks in ("fgsm", "fgsm,pgd"):  # nothing could run
        ended = bench("run", *model, "--attack", attacks, *place)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.count("gradients cannot flow") == ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--defense", "madry"], "--model is a defense of its own; leave --defense madry out"),
        (["--defense", "model,kd"], "--model is a defense of its own; leave --defense model,kd out"),
        (["--recipe", "paper"], "--recipe is not an option of model with pgd"),
        (["--n-train", "100"], "--n-train is not an option of model with pgd"),
        (["--epochs", "3"], "--epochs is not an option of model with pgd"),
        (["--n-fit", "10"], "--n-fit is for detectors"),
        (["--weights", "elsewhere.safetensors"], "cannot read the weights elsewhere.safetensors"),
    ],
)
def test_what_does_not_go_with_a_model_is_refused(
    bench: Bench, tmp_path: Path, results: Path, arguments: list[str], says: str
) -> None:
    ended = bench("run", *BUDGET, *bring(tmp_path)[: 2 if "--weights" in arguments else 4], *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--weights", "mine.pt"], "--weights needs --model FILE.py:FACTORY"),
        (["--defense", "standard", "--weights", "mine.pt"], "--weights needs --model FILE.py:FACTORY"),
        (["--defense", "model"], "--defense model needs --model FILE.py:FACTORY"),
        (["--model", "mine.py"], "for example --model my_model.py:make_model; got 'mine.py'"),
        (["--model", "absent.py:make"], "there is no absent.py"),
    ],
)
def test_a_model_half_named_is_refused(bench: Bench, arguments: list[str], says: str) -> None:
    ended = bench("run", *BUDGET, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert ended.err.count("\n") == 1


def test_a_grid_checks_a_model_once_for_attacks_alike(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[bool] = []
    monkeypatch.setattr("bench.sweep.check_user_model", lambda *_, needs_gradients, **__: tried.append(needs_gradients))
    _, model, _, path = bring(tmp_path)
    values = {"defense": ["model"], "model": [model], "weights": [path], "attack": ["fgsm", "pgd", "square"]}
    cells = plan(values | {"seed": [0, 1]}, Workspace(results_dir=results))
    assert len(cells) == 6
    assert tried == [True, False]
