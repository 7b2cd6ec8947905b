"""Runs whose attacker knows the detector: what a threat makes of an attack, and what a run says of it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_runs import ER, Ended, Finished, assert_refused
from tampering import change_record
from torch import Tensor

from attacks.errors import RequestError
from attacks.registry import ATTACKS
from bench.adversaries import COUNTERPARTS, attack_under
from bench.api import run
from bench.grid import expand
from bench.outcomes import select
from bench.record import Record, load_outcomes
from bench.threats import THREATS
from bench.verification.verify import Verifier
from bench.workspace import Workspace
from defenses.contract import Classifier, DetectorEntry
from defenses.detectors.kernel_density import ER1
from defenses.networks.registry import FAMILIES
from defenses.registry import DEFENSES


def _attacks(**values: Any) -> list[tuple[str, str]]:
    listed = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    return [(request.defense, request.attack) for request in expand(listed)]


def test_a_threat_says_which_attack_is_run() -> None:
    both = ["oblivious", "adaptive"]
    assert _attacks(defense="kd", attack=["cw", "pgd"], threat=both) == [
        *(("kd", attack) for attack in ("cw", "cw-detector", "pgd", "pgd-selective")),
    ]
    assert _attacks(defense="kd", threat="adaptive") == [("kd", "adaptive")]
    assert _attacks(defense=["standard", "kd"], attack="cw", threat=both) == [
        ("standard", "cw"),
        ("kd", "cw"),
        ("kd", "cw-detector"),
    ]
    assert _attacks(defense="kd", attack=["cw", "adaptive"], threat=both) == [
        ("kd", "cw"),
        ("kd", "cw-detector"),
        ("kd", "adaptive"),
    ]


def test_every_oblivious_attack_but_noise_has_a_counterpart_that_knows_the_detector() -> None:
    oblivious = {entry.name for entry in ATTACKS if not entry.is_aware}
    assert set(COUNTERPARTS) == oblivious - {"noise"}
    assert all(ATTACKS.get(name).is_aware for name in COUNTERPARTS.values())
    with pytest.raises(RequestError, match="no counterpart of noise"):
        attack_under("adaptive", "kd", "noise")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--defense", "kd", "--attack", "cw", "--threat", "adaptiv"], ["did you mean 'adaptive'", "oblivious"]),
        (["--defense", "standard", "--attack", "cw", "--threat", "adaptive"], ["standard", "bare classifier"]),
        (["--defense", "kd", "--attack", "match", "--threat", "oblivious"], ["match", "knows the detector"]),
        (["--defense", "standard", "--attack", "match"], ["match", "bare classifier", "--attack auto"]),
        (["--defense", "kd", "--attack", "cw", "--train-attack", "adaptive"], ["--train-attack", "set I"]),
        (["--defense", "kd", "--attack", "match", "--precision", "bfloat16"], ["float32", "--precision"]),
        (["--defense", "kd", "--attack", "match", "--guides", "0"], ["guides", "above 0"]),
        (["--defense", "kd", "--attack", "pgd", "--guides", "3"], ["--guides", "not an option"]),
        (["--defense", "kd", "--attack", "adaptive", "--max-l2", "-1"], ["max-l2", "above 0"]),
    ],
)
@pytest.mark.usefixtures("in_an_empty_folder")
def test_what_does_not_go_together_is_refused(
    bench: Callable[..., Ended], arguments: list[str], words: list[str]
) -> None:
    assert_refused(bench("run", *arguments), *words)


def test_the_l2_budget_is_the_size_of_uniform_noise_in_the_ball() -> None:
    for name, threat in THREATS.items():
        channels, height, width = FAMILIES.get(name).image_shape
        assert threat.max_l2 == pytest.approx(threat.epsilon * (channels * height * width / 3) ** 0.5, rel=0.01)


@pytest.fixture(scope="module")
def deceived(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    """The run of er1 against cw once more, by somebody who knows the detector."""
    results_dir = tmp_path_factory.mktemp("adaptive")
    shutil.copytree(finished.results_dir / "store", results_dir / "store")
    (record,) = run(results_dir=results_dir, **(ER | {"search_steps": 4}), threat="adaptive")
    return results_dir, record


def test_a_detector_sees_less_of_an_attacker_who_knows_it(finished: Finished, deceived: tuple[Path, Record]) -> None:
    results_dir, record = deceived
    oblivious = finished.records["er1"]
    assert record.spec["attack"] == "cw-detector"
    assert record.detector["threat"] == "adaptive"
    assert record.detector["guides"] > 0
    assert {"attack", "classifier", "detector", "train_attack", "guard"} == set(record.code)
    before, after = (each.rate("success_rate_at_5_fpr") for each in (oblivious, record))
    assert before is not None
    assert after is not None
    assert after.value > before.value
    rows = load_outcomes(results_dir / "runs" / record.run_id)
    found = select(rows, kind="adversarial").query("reached")
    assert len(found) > 0
    assert float((found["probability"] < 0.5).mean()) > 0.9  # below the threshold, as the judge sees it


def test_the_record_is_verified_and_made_again_by_its_own_command(
    deceived: tuple[Path, Record], bench: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    results_dir, record = deceived
    workspace = Workspace(results_dir=results_dir, data_dir=Path("nowhere"))
    found = Verifier(workspace=workspace).verify(results_dir / "runs" / record.run_id, workspace.store)
    assert (found.status, found.message) == ("agrees", "")
    monkeypatch.setenv("ERBENCH_RESULTS", str(results_dir))
    ended = bench(*record.command.split()[1:], "--dry-run")
    assert ended.code == 0
    assert record.run_id in ended.out or "done" in ended.out


def test_images_crafted_against_another_detector_are_not_taken_for_the_records(
    deceived: tuple[Path, Record], tmp_path: Path
) -> None:
    results_dir, record = deceived
    shutil.copytree(results_dir, tmp_path / "results")
    workspace = Workspace(results_dir=tmp_path / "results", data_dir=Path("nowhere"))
    folder, store = workspace.run_dir(record.run_id), workspace.store
    chunk = store.read("crafted", record.stored["test"][0])
    assert chunk is not None
    chunk.spec["guard"]["threshold"] += 0.5
    key = store.key("crafted", chunk.spec)
    store.save("crafted", key, spec=chunk.spec, tensors=chunk.tensors, details=chunk.details)
    change_record(folder, lambda body: body["stored"].update(test=[key]))
    found = Verifier(workspace=workspace).verify(folder, store)
    assert found.status == "disagrees"
    assert "another detector" in found.message
    assert "threshold" in found.message


class _ScoreAlone:
    """A detector of another package: a score, and no way to follow it."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self.score_names = detector.score_names

    def scores(self, classifier: Classifier, images: Tensor, predictions: Tensor) -> Tensor:
        scores: Tensor = self._detector.scores(classifier, images, predictions)
        return scores

    def tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = self._detector.tensors()
        return tensors


def _restore(tensors: dict[str, Tensor], config: Any) -> _ScoreAlone:
    return _ScoreAlone(ER1.restore(tensors, config))


def test_a_detector_without_gradients_is_attacked_without_them_and_the_record_says_so(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opaque: DetectorEntry = replace(ER1, name="opaque", restore=_restore)
    monkeypatch.setitem(DEFENSES._entries, "opaque", opaque)
    shutil.copytree(finished.results_dir / "store", tmp_path / "store")
    options = {name: value for name, value in ER.items() if name not in ("attack", "confidence", "initial_c")}
    options |= {"defense": "opaque", "steps": 10, "search_steps": 1, "queries": 40, "n_test": 10}
    (record,) = run(results_dir=tmp_path, threat="adaptive", **options)
    assert record.spec["attack"] == "adaptive"
    assert record.detector["has_gradients"] is False
    assert any("offers no gradients" in note and "Square" in note for note in record.notes)
    rows = select(load_outcomes(tmp_path / "runs" / record.run_id), kind="adversarial")
    assert set(rows["broken_by"]) <= {"transfer", "square-detector", "match", ""}
    with pytest.raises(RequestError, match="cw-detector follows the gradient"):
        run(results_dir=tmp_path, **(ER | {"defense": "opaque", "attack": "cw-detector"}))
