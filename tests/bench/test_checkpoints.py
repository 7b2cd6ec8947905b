"""A training under way in the store: what is kept, taken, refused and removed.

The oracle of a resumed training is the same training undisturbed, file for file; that of a stored state, the state.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from processes import end, start

from attacks.errors import DataError, NotConvergedError
from bench.cell import Cell
from bench.files import write_atomically
from bench.fitting import fit_classifier
from bench.storage import store as store_module
from bench.storage.checkpoints import KIND, Checkpoints, flattened, unflattened
from bench.storage.store import Store
from bench.sweep import plan
from bench.workspace import Workspace

EPOCHS = 6
OPTIONS = {"n_train": 200, "epochs": EPOCHS}
TAKEN = "taken from the checkpoint"
STATE = {
    "network": {"weight": torch.arange(6.0).view(2, 3), "batches": torch.tensor(7)},
    "groups": [{"lr": 0.1 + 0.2, "betas": [0.9, 0.999], "foreach": None, "fused": True, "params": [0, 1]}],
    "name": "cosine",
    "empty": {},
    "items": {"tensor": "a name"},
    "a/b": {"c": torch.tensor([1], dtype=torch.uint8)},
    "a": {"b/c": torch.tensor([2], dtype=torch.uint8)},
}


class KilledError(Exception):
    """Stands for a kill: whoever raises it does nothing more."""


class Watched:
    """Progress that keeps the notes, and kills the training once `kill_after` epochs are shown (0 for never)."""

    def __init__(self, kill_after: int = 0) -> None:
        self.kill_after = kill_after
        self.notes: list[str] = []

    @contextmanager
    def task(self, title: str, total: int) -> Iterator["Watched"]:
        assert total == EPOCHS
        yield self

    def advance(self, note: str = "") -> None:
        self.notes.append(note)
        if len(self.notes) == self.kill_after:
            raise KilledError


class Undisturbed(NamedTuple):
    cell: Cell
    files: dict[str, bytes]


def files_of(results_dir: Path, kind: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (results_dir / "store" / kind).glob("*")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    workspace = Workspace(results_dir=tmp_path_factory.mktemp("undisturbed"))
    listed = {name: [value] for name, value in {"defense": "er-classifier", "attack": "fgsm", **OPTIONS}.items()}
    (cell,) = plan(listed, workspace)
    fit_classifier(cell.spec.classifier, cell.dataset, workspace)
    files = files_of(workspace.results_dir, "classifiers")
    assert sorted(Path(name).suffix for name in files) == [".json", ".safetensors"]
    return Undisturbed(cell, files)


def fit(cell: Cell, results_dir: Path, kill_after: int = 0) -> list[str]:
    """Train and return the notes of all epochs; a "kill" ends the training early."""
    watched = Watched(kill_after)
    try:
        fit_classifier(cell.spec.classifier, cell.dataset, Workspace(results_dir=results_dir, progress=watched))
    except KilledError:
        assert kill_after
    return watched.notes


@pytest.mark.parametrize("kills", [(1,), (2, 5), (EPOCHS,)])
def test_a_killed_training_goes_on_and_leaves_the_classifier_alone(
    undisturbed: Undisturbed, tmp_path: Path, kills: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    for kill_after in kills:
        fit(undisturbed.cell, tmp_path, kill_after)
        assert len(files_of(tmp_path, KIND)) == 2
        assert files_of(tmp_path, "classifiers") == {}
    notes = fit(undisturbed.cell, tmp_path)
    assert len(notes) == EPOCHS
    assert [note == TAKEN for note in notes] == [epoch <= kills[-1] for epoch in range(1, EPOCHS + 1)]
    assert files_of(tmp_path, "classifiers") == undisturbed.files  # weights, history and accuracy, to the byte
    assert files_of(tmp_path, KIND) == {}
    assert not caplog.records


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x40
    path.write_bytes(content)


def test_a_flipped_byte_is_reported_and_training_starts_anew(
    undisturbed: Undisturbed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(undisturbed.cell, tmp_path, kill_after=2)
    (path,) = (tmp_path / "store" / KIND).glob("*.safetensors")
    flip(path)
    assert TAKEN not in fit(undisturbed.cell, tmp_path)
    assert KIND in caplog.text
    assert path.stem in caplog.text
    assert files_of(tmp_path, "classifiers") == undisturbed.files
    assert files_of(tmp_path, KIND) == {}


def test_another_pytorchs_checkpoint_is_reported_and_not_taken(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "1.0")
        fit(undisturbed.cell, tmp_path, kill_after=2)
    assert TAKEN not in fit(undisturbed.cell, tmp_path)
    assert f"was made by PyTorch 1.0 on cpu, not by PyTorch {torch.__version__} on cpu; it is not used" in caplog.text
    assert files_of(tmp_path, KIND) == {}


def test_older_codes_checkpoint_is_not_taken(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("bench.fitting.classifier_code", lambda _entry: "older")
        fit(undisturbed.cell, tmp_path, kill_after=2)
    assert TAKEN not in fit(undisturbed.cell, tmp_path)


def test_what_a_kill_after_storing_the_classifier_left_is_removed(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "remove", lambda _self: None)
        fit(undisturbed.cell, tmp_path)
    assert len(files_of(tmp_path, KIND)) == 2
    with monkeypatch.context() as patch:  # a folder that nothing can be removed from keeps nobody from working
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
        assert fit(undisturbed.cell, tmp_path) == []
    assert "cannot remove" in caplog.text
    assert "Read-only file system" in caplog.text
    assert fit(undisturbed.cell, tmp_path) == []
    assert files_of(tmp_path, KIND) == {}


def test_a_training_that_becomes_nan_has_a_verdict(undisturbed: Undisturbed, tmp_path: Path) -> None:
    spec = undisturbed.cell.spec.classifier
    diverging = replace(spec, config=replace(spec.config, learning_rate=1e38))
    workspace = Workspace(results_dir=tmp_path)
    for _ in range(2):
        with pytest.raises(NotConvergedError, match="training diverged"):
            fit_classifier(diverging, undisturbed.cell.dataset, workspace)


def test_kill_9(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A real kill of a real process, at whatever it is doing then."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    process = start(
        "run", "--defense=er-classifier", "--attack=fgsm", *options, "--device=cpu", f"--results-dir={tmp_path}"
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "store" / KIND).glob("*.json")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert end(process, timeout=60).code == -9
    assert files_of(tmp_path, "classifiers") == {}
    notes = fit(undisturbed.cell, tmp_path)
    assert notes[0] == TAKEN
    assert notes[-1] != TAKEN
    assert files_of(tmp_path, "classifiers") == undisturbed.files


def kept(tmp_path: Path, device: str = "cpu") -> Checkpoints:
    return Checkpoints(store=Store(tmp_path), identity={"code": "0"}, device=torch.device(device))


def after(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "weight": torch.full((3,), float(epoch))}


def save_until_killed(checkpoints: Checkpoints, kill_at: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, bool]:
    """Save four epochs, killed before write or removal number `kill_at`; gives how many became whole, and if killed."""
    count, whole = 0, 0

    def counted(do: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal count, whole
            count += 1
            if count == kill_at:
                raise KilledError
            given = do(*arguments, **more)
            whole += getattr(arguments[0], "suffix", "") == ".json"
            return given

        return call

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "write_atomically", counted(write_atomically))
        patch.setattr(Store, "remove", counted(Store.remove))
        try:
            for epoch in range(1, 5):
                checkpoints.save(epoch, after(epoch))
        except KilledError:
            return whole, True
    return whole, False


def test_there_is_a_whole_checkpoint_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed before each single write or removal in turn, the last epoch that was whole is loaded."""
    kills = 4 * 4  # two writes and two removals an epoch
    for kill_at in range(1, kills + 2):
        checkpoints = kept(tmp_path / str(kill_at))
        whole, killed = save_until_killed(checkpoints, kill_at, monkeypatch)
        assert killed is (kill_at <= kills)
        for epoch in (whole, whole + 1):  # and it goes on from there
            state = checkpoints.load()
            assert (state["epoch"] if state else 0) == epoch
            assert state is None or torch.equal(state["weight"], torch.full((3,), float(epoch)))
            checkpoints.save(epoch + 1, after(epoch + 1))
    assert not caplog.records


def test_another_devices_checkpoint_gives_way_to_the_first_epoch_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept(tmp_path, "cuda").save(8, after(8))
    here = kept(tmp_path)
    assert here.load() is None
    assert "was made by PyTorch" in caplog.text
    here.save(1, after(1))
    state = here.load()
    assert state is not None
    assert state["epoch"] == 1
    assert len(list((tmp_path / KIND).iterdir())) == 2
    here.remove()
    here.remove()
    assert list((tmp_path / KIND).iterdir()) == []


def forge(checkpoints: Checkpoints, details: Any) -> None:
    """An item whose checksums are right and whose content is not a checkpoint's."""
    key = checkpoints._key(0)
    checkpoints.store.save(KIND, key, spec=checkpoints._spec(0), tensors={"a": torch.ones(1)}, details=details)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": None},
        {"made_by": 3},
        {"state": {"tensor": "absent"}},
        {"state": {"items": [1]}},
        {"state": {"number": "many"}},
        {"state": {}},
        {"state": {"items": {}, "tensor": "a"}},
        {"state": {"tensor": ["a"]}},
    ],
)
def test_what_is_no_checkpoint_is_reported(
    tmp_path: Path, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = kept(tmp_path)
    sound = {"epoch": 2, "made_by": checkpoints._maker, "state": {"items": {"epoch": 2}}}
    forge(checkpoints, sound)
    assert checkpoints.load() == {"epoch": 2}
    forge(checkpoints, sound | change)
    assert checkpoints.load() is None
    assert "it is not used" in caplog.text


def test_a_state_comes_back_as_it_was() -> None:
    skeleton, tensors = flattened(STATE)
    state = unflattened(json.loads(json.dumps(skeleton, allow_nan=False)), tensors)
    assert len(tensors) == 4
    assert state["network"].keys() == {"weight", "batches"}
    assert state["network"]["weight"] is STATE["network"]["weight"]
    assert [state["a/b"]["c"].item(), state["a"]["b/c"].item()] == [1, 2]  # names do not collide
    assert {name: state[name] for name in ("groups", "name", "empty", "items")} == {
        name: STATE[name] for name in ("groups", "name", "empty", "items")
    }


def test_numbers_that_json_has_not() -> None:
    skeleton, _ = flattened({"values": (math.inf, -math.inf, math.nan)})
    values = unflattened(json.loads(json.dumps(skeleton, allow_nan=False)), {})["values"]
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])


@pytest.mark.parametrize("value", [{1, 2}, {1: 2}, object(), b"bytes", 1j])
def test_what_a_state_cannot_hold(value: Any) -> None:
    with pytest.raises(TypeError, match=f"holds a {type(value).__name__} at part/0, which cannot be kept"):
        flattened({"part": [value]})


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / KIND).write_text("in the way")
    with pytest.raises(DataError, match="cannot write to"):
        kept(tmp_path).save(1, after(1))
