"""Records verified: the honest ones agree outcome for outcome, and whatever somebody changes in one is found.

Who changes something here repairs every checksum (`tampering`), so that only judging anew can tell.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from class_means import bring
from PIL import Image
from small_runs import Ended, Finished
from tampering import change_item, change_outcomes, change_record
from torch import Tensor

from bench.datasets.registry import load_dataset
from bench.record import Record, load_record
from bench.storage.needs import store_beside
from bench.verification.verify import Verification, Verifier
from bench.workspace import Workspace

Bench = Callable[..., Ended]
BRIGHTNESS = """
import torch
from torch import nn

def make():
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 2))
    network[1].weight.data = torch.tensor([[-0.01], [0.01]]).expand(2, 784).clone()
    network[1].bias.data = torch.tensor([4.0, -4.0])
    return network
"""


@pytest.fixture
def results(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished runs, records and store."""
    shutil.copytree(finished.results_dir, tmp_path / "results")
    return tmp_path / "results"


def verified(results: Path, record: Record, **means: Any) -> Verification:
    folder = results / "runs" / record.run_id
    return Verifier(workspace=Workspace(results_dir=results), **means).verify(folder, store_beside(folder, results))


def problems(verification: Verification) -> str:
    """Everything that is said against a record, which must be something."""
    assert verification.status == "disagrees"
    told = [verification.message, *(verification.rejudged.problems if verification.rejudged else [])]
    assert any(told)
    return "\n".join(told)


def refuse(*_arguments: object, **_more: object) -> None:
    raise AssertionError("made instead of read")


def test_honest_records_agree_and_nothing_is_made(
    finished: Finished, results: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("fitting._train", "crafting.craft", "exhibits.fit_detector", "storage.store.Store.save"):
        monkeypatch.setattr(f"bench.{place}", refuse)
    ended = bench("verify", "--results-dir", str(results))
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    for name, record in finished.records.items():
        rows, metrics = len(finished.outcomes[name]), len(record.metrics)
        assert (
            f"{record.run_id}  {record.label}: {rows} of {rows} outcomes agree, {metrics} of {metrics} metrics" in lines
        )
    total = sum(map(len, finished.outcomes.values()))
    assert lines[-1] == (f"5 records: 5 verified, 0 disagree, 0 cannot be verified; {total} of {total} outcomes agree")
    assert len(lines) == 6  # no remarks


def test_records_are_named_by_digits_or_by_path(finished: Finished, results: Path, bench: Bench) -> None:
    pgd, fgsm = (results / "runs" / finished.records[name].run_id for name in ("pgd", "fgsm"))
    ended = bench("verify", pgd.name[:6], str(fgsm / "record.json"), "--results-dir", str(results))
    assert [line[:16] for line in ended.out.splitlines()[:-1]] == [pgd.name, fgsm.name]
    elsewhere = bench("verify", str(fgsm), "--results-dir", str(results / "nothing"))
    assert elsewhere.out.startswith(f"{fgsm.name}  standard · fgsm: 40 of 40 outcomes agree")
    assert "no record ffff under" in bench("verify", "ffff", "--results-dir", str(results)).err
    assert "no records under" in bench("verify", "--results-dir", str(results / "nothing")).err


def brightened(tensors: dict[str, Tensor]) -> None:
    tensors["images"][3, 0, 14, 14] = (tensors["images"][3, 0, 14, 14] - 0.5).abs()


@pytest.mark.parametrize("name", ["er1", "pgd"])
def test_one_changed_pixel_is_found(finished: Finished, results: Path, name: str) -> None:
    record = finished.records[name]
    change_item(results, "crafted", record.stored["test"][0], brightened)
    told = problems(verified(results, record))
    chosen = finished.outcomes[name].query("role == 'test' and kind == 'adversarial'")["sample_id"].iloc[3]
    assert f"test images {chosen})" in told or f"image {chosen} (test, adversarial): " in told


@pytest.mark.parametrize(
    ("value", "says"), [(1.5, r"leave \[0, 1\]"), (torch.nan, r"leave \[0, 1\]"), (0.0, "the budget is 0.3")]
)
def test_images_outside_the_box_or_the_ball_are_found_and_named(
    finished: Finished, results: Path, value: float, says: str
) -> None:
    record = finished.records["fgsm"]
    adversarial = finished.outcomes["fgsm"].query("kind == 'adversarial'")

    def move(tensors: dict[str, Tensor]) -> None:
        tensors["images"][5, 0].view(-1)[tensors["images"][5, 0].argmax()] = value

    change_item(results, "crafted", record.stored["test"][0], move)
    told = verified(results, record)
    assert told.status == "disagrees"
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(told.message)
    assert f"(test images {adversarial['sample_id'].iloc[5]})" in told.message


def test_another_chunk_in_place_of_the_recorded_one_is_found(finished: Finished, results: Path) -> None:
    record = finished.records["er1"]
    folder = results / "runs" / record.run_id
    fit = record.stored["fit"]
    change_record(folder, lambda body: body["stored"].update(test=fit))
    told = problems(verified(results, record))
    assert f"chunk 1 of set 'test' ({fit[0]}) was made from something else than the record says: " in told
    assert "sample ids" in told
    change_record(folder, lambda body: body["stored"].update(test=[]))
    assert "set 'test' has 20 images, 0 of them are stored as attacked" in problems(verified(results, record))
    change_record(folder, lambda body: body["stored"].update(test=["../../../etc/passwd"]))
    assert "something that is no key" in problems(verified(results, record))


def scaled(tensors: dict[str, Tensor]) -> None:
    tensors.update({name: 1.01 * tensor for name, tensor in tensors.items() if tensor.is_floating_point()})


@pytest.mark.parametrize(("kind", "part"), [("classifiers", "classifier"), ("detectors", "detector")])
def test_other_weights_are_found(finished: Finished, results: Path, kind: str, part: str) -> None:
    record = finished.records["er1"]
    change_item(results, kind, record.stored[part], scaled)
    told = verified(results, record)
    assert "outcomes" not in told.message
    assert problems(told)
    assert verified(results, finished.records["pgd"]).status == "agrees"


def test_the_twin_that_shows_whether_the_regularizer_acts_is_verified(finished: Finished, results: Path) -> None:
    record = finished.records["er1"]
    change_item(
        results,
        "classifiers",
        record.stored["unregularized"],
        lambda tensors: tensors.update(
            {
                name: 2 * tensor
                for name, tensor in tensors.items()
                if name.startswith("encoder") and tensor.is_floating_point()
            }
        ),
    )
    assert "metric embedding: " in problems(verified(results, record))


def test_weights_of_another_shape_are_found(finished: Finished, results: Path) -> None:
    record = finished.records["pgd"]
    change_item(results, "classifiers", record.stored["classifier"], lambda tensors: tensors.popitem())
    assert "has weights that do not fit its network" in problems(verified(results, record))
    kd = finished.records["kd"]
    change_item(results, "detectors", kd.stored["detector"], lambda tensors: tensors.pop("points"))
    assert problems(verified(results, kd))


def test_a_changed_label_is_found(finished: Finished, results: Path) -> None:
    record = finished.records["pgd"]

    def relabel(rows: pd.DataFrame) -> None:
        rows.loc[0, "label"] = (rows["label"][0] + 1) % 10
        rows.loc[0, "correct"] = rows["label"][0] == rows["prediction"][0]

    change_outcomes(results / "runs" / record.run_id, relabel)
    own, changed = finished.outcomes["pgd"]["label"][0], (finished.outcomes["pgd"]["label"][0] + 1) % 10
    assert f": label {own}, recorded {changed}; correct True, recorded False" in problems(verified(results, record))


def test_every_changed_outcome_counts_and_ten_are_named(finished: Finished, results: Path, bench: Bench) -> None:
    record = finished.records["er1"]

    def everywhere(rows: pd.DataFrame) -> None:
        rows["l2"] += 0.5

    change_outcomes(results / "runs" / record.run_id, everywhere)
    ended = bench("verify", record.run_id, "--results-dir", str(results))
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[0].startswith(f"{record.run_id}  er1 · cw κ=2: DISAGREES: 0 of 120 outcomes agree, ")
    assert sum(line.startswith("    image ") for line in lines) == 10
    assert "    and 110 more outcomes" in lines
    assert lines[-1] == "1 record: 0 verified, 1 disagree, 0 cannot be verified; 0 of 120 outcomes agree"


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("pgd", lambda body: body["metrics"]["robust_accuracy"].update(value=0.9), "metric robust_accuracy: "),
        ("pgd", lambda body: body["metrics"]["clean_accuracy"].update(successes=500), "metric clean_accuracy: "),
        ("pgd", lambda body: body["metrics"].update(invented=1.0), "metric invented: nothing, recorded 1.0"),
        ("pgd", lambda body: body["metrics"].pop("reached"), "metric reached: "),
        ("pgd", lambda body: body.update(label="er1 · pgd"), "its name does not follow"),
        ("pgd", lambda body: body["spec"]["attack_config"].update(steps=4), "its name does not follow"),
        ("pgd", lambda body: body.update(metrics=[]), "the record's metrics is not of its type"),
        ("kd", lambda body: body["metrics"].update(auroc=0.123), "metric auroc: "),
        ("kd", lambda body: body["metrics"].pop("tpr_at_5_fpr"), "metric tpr_at_5_fpr: "),
        ("kd", lambda body: body["metrics"].pop("tpr_at_1_fpr"), "metric tpr_at_1_fpr: "),  # without its neighbors
        ("kd", lambda body: body["metrics"]["tpr_at_1_fpr"].update(value=0.123), "metric tpr_at_1_fpr: "),
        ("kd", lambda body: body["detector"].update(weights=[9.0]), "detector's weights: "),
        ("kd", lambda body: body["detector"].update(threat="adaptive"), "detector's threat: "),
    ],
)
def test_a_changed_record_is_found(
    finished: Finished, results: Path, name: str, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    record = finished.records[name]
    change_record(results / "runs" / record.run_id, change)
    assert says in problems(verified(results, record))


def test_a_record_made_before_some_metrics_is_verified_by_those_that_it_has(finished: Finished, results: Path) -> None:
    record = finished.records["kd"]

    def age(body: dict[str, Any]) -> None:
        for name in ("tpr_at_1_fpr", "success_rate_at_1_fpr", "threshold_at_1_fpr"):
            del body["metrics"][name]
        body["detector"].pop("threat", None)

    change_record(results / "runs" / record.run_id, age)
    told = verified(results, record)
    assert told.status == "agrees"
    assert told.rejudged is not None
    assert told.rejudged.metrics == len(record.metrics) - 3


def test_damage_is_a_failure_and_not_passed_over(finished: Finished, results: Path, bench: Bench) -> None:
    pgd, fgsm, kd = (finished.records[name] for name in ("pgd", "fgsm", "kd"))
    path = results / "runs" / pgd.run_id / "record.json"
    path.write_text(path.read_text().replace('"done"', '"d0ne"'))
    (results / "runs" / fgsm.run_id / "outcomes.parquet").write_bytes(b"PAR1")
    item = results / "store" / "detectors" / f"{kd.stored['detector']}.safetensors"
    item.write_bytes(item.read_bytes()[:-1] + b"?")
    ended = bench("verify", pgd.run_id, fgsm.run_id, kd.run_id, "--results-dir", str(results))
    assert ended.code == 1
    assert "0 verified, 3 disagree" in ended.out
    assert f"{pgd.run_id}: DISAGREES: {path} does not match its checksum" in ended.out
    assert "has outcomes.parquet beside it that does not match its checksum" in ended.out
    assert "that do not match their checksum" in ended.out


def test_without_weights_or_images_nothing_is_trained_or_crafted(
    finished: Finished, results: Path, bench: Bench
) -> None:
    record = finished.records["pgd"]
    shutil.rmtree(results / "store" / "crafted")
    lost = bench("verify", record.run_id, "--results-dir", str(results))
    assert (lost.code, lost.out.count("\n")) == (2, 2)
    assert f"cannot be verified: crafted/{record.stored['test'][0]} is not in " in lost.out
    shutil.rmtree(results / "store" / "classifiers")
    lost = bench("verify", record.run_id, "--results-dir", str(results))
    assert lost.code == 2
    assert f"cannot be verified: classifiers/{record.stored['classifier']} is not in " in lost.out
    assert not (results / "store" / "classifiers").exists()


def test_other_images_under_the_same_name_cannot_be_used(
    finished: Finished, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(name: str, request: Any) -> Any:
        return replace(load_dataset(name, request), digest="0" * 64)

    monkeypatch.setattr("bench.verification.verify.load_dataset", other)
    told = verified(results, finished.records["pgd"])
    assert told.status == "unverifiable"
    assert "digits holds other images here (digest 0000000000000000)" in told.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda body: body.update(stored={}), "and run again: "),
        (lambda body: body["spec"]["attack_config"].update(zeal=1), "PgdConfig has no 'zeal'"),
        (lambda body: body["spec"]["attack_config"].pop("restarts"), "lacks settings"),
        (lambda body: body.update(schema=99), "has schema 99, this version reads up to"),
    ],
)
def test_records_of_other_versions_are_told_and_not_believed(
    finished: Finished, results: Path, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    record = finished.records["pgd"]
    change_record(results / "runs" / record.run_id, change)
    told = verified(results, record)
    assert told.status == "unverifiable"
    assert says in told.message


def test_other_code_is_told_and_does_not_matter(
    finished: Finished, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.verification.rejudge.code_of", lambda _spec: finished.records["pgd"].code | {"attack": "newer"}
    )
    change_record(results / "runs" / finished.records["pgd"].run_id, lambda body: body.update(notes=["all is well"]))
    told = verified(results, finished.records["pgd"])
    assert told.status == "agrees"
    assert told.rejudged is not None
    assert told.rejudged.remarks == [
        "made by other code than this version's (attack); only what it made is judged",
        "its notes are not those that this version would give",
    ]


def test_a_run_without_numbers_has_none_to_verify(finished: Finished, results: Path, bench: Bench) -> None:
    record = finished.records["pgd"]
    folder = results / "runs" / record.run_id
    change_record(folder, lambda body: body.update(status="error"))
    assert "ended as 'error' and yet has numbers" in problems(verified(results, record))
    change_record(folder, lambda body: body.update(metrics={}))
    ended = bench("verify", record.run_id, "--results-dir", str(results))
    assert ended.code == 0
    assert "standard · pgd: ended without numbers (error)" in ended.out


def test_what_a_record_says_does_not_reach_the_terminal_as_it_is(
    finished: Finished, results: Path, bench: Bench
) -> None:
    record = finished.records["pgd"]
    change_record(results / "runs" / record.run_id, lambda body: body.update(label="\x1b[2Jfine\n0 disagree"))
    ended = bench("verify", record.run_id, "--results-dir", str(results))
    assert ended.code == 1
    assert "\x1b" not in ended.out
    assert ended.out.startswith(f"{record.run_id}  �[2Jfine�0 disagree: DISAGREES: ")


def test_a_users_model_is_verified_with_the_model_only(tmp_path: Path, bench: Bench) -> None:
    mine, results = bring(tmp_path / "mine"), tmp_path / "results"
    made = bench("run", *mine, "--attack", "fgsm", "--epsilon", "0.1", "--n-test", "20", "--results-dir", str(results))
    assert made.code == 0, made.err
    alone = bench("verify", "--results-dir", str(results))
    assert alone.code == 2
    assert "it is of a user's own model, mine.py:make; give it with --model and --weights" in alone.out
    ended = bench("verify", *mine, "--results-dir", str(results))
    assert ended.code == 0, ended.out
    assert "40 of 40 outcomes agree" in ended.out
    source = tmp_path / "mine" / "mine.py"
    source.write_text(source.read_text() + "\n# edited\n")
    edited = bench("verify", *mine, "--results-dir", str(results))
    assert edited.code == 2
    assert "--model is not its mine.py:make: another source digest" in edited.out
    assert bench("verify", "--weights", "w.pt", "--results-dir", str(results)).err.startswith(
        "error: --weights needs --model"
    )
    (folder,) = (results / "runs").iterdir()
    assert load_record(folder) is not None


def test_an_image_folder_may_lie_elsewhere(tmp_path: Path, bench: Bench) -> None:
    for part, count in (("train", 20), ("test", 8)):
        for name, brightness in (("dark", 20), ("light", 200)):
            (tmp_path / "theirs" / part / name).mkdir(parents=True)
            for number in range(count):
                image = Image.new("L", (28, 28), brightness + number)
                image.save(tmp_path / "theirs" / part / name / f"{number:02}.png")
    results, mine = tmp_path / "results", tmp_path / "mine"
    (tmp_path / "bright.py").write_text(BRIGHTNESS)
    model = ["--model", f"{tmp_path / 'bright.py'}:make"]
    attack = ["--attack", "fgsm", "--epsilon", "0.1", "--n-test", "10", "--results-dir", str(results)]
    made = bench("run", "--dataset", f"folder:{tmp_path / 'theirs'}", *model, *attack)
    assert made.code == 0, made.out + made.err
    (tmp_path / "theirs").rename(mine)
    lost = bench("verify", *model, "--results-dir", str(results))
    assert (lost.code, lost.out.count("\n")) == (2, 2)
    assert "theirs" in lost.out
    found = bench("verify", *model, "--folder", str(mine), "--results-dir", str(results))
    assert found.code == 0, found.out
    assert "20 of 20 outcomes agree" in found.out
    (mine / "test" / "dark" / "07.png").unlink()
    other = bench("verify", *model, "--folder", str(mine), "--results-dir", str(results))
    assert other.code == 2
    assert f"folder:{mine} holds other images here (digest " in other.out
    assert "--folder says where yours are" in other.out
