"""Weights that a user brings: real files of every format, and nothing is unpickled.

What must be in the network afterwards is known from the same layers, built here and saved.
"""

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from user_files import NET, Same, holds, refusal, write

from attacks.errors import DataError
from bench.user_models.user_model import load_user_model


class Touching:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def net(tmp_path: Path) -> str:
    return write(tmp_path / "net.py", NET)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return dict(Same().state_dict())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin"])
def test_weights_replace_the_factorys_own(net: str, state: dict[str, Any], tmp_path: Path, suffix: str) -> None:
    weights = tmp_path / f"weights{suffix}"
    (safetensors.torch.save_file if suffix == ".safetensors" else torch.save)(state, weights)
    model = load_user_model(f"{net}:make_model", weights)
    assert holds(model, state)
    assert not holds(load_user_model(f"{net}:make_model", None), state)
    assert not model.module.head.weight.requires_grad
    torch.save(state, tmp_path / "again.pt")
    assert model.state_digest == load_user_model(f"{net}:Net", tmp_path / "again.pt").state_digest


def test_the_old_format_of_torch_is_read(net: str, state: dict[str, Any], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert holds(load_user_model(f"{net}:make_model", tmp_path / "old.pt"), state)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "net"])
@pytest.mark.parametrize("parallel", [False, True])
def test_checkpoints_are_understood(
    net: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, wrapper: str, parallel: bool
) -> None:
    same = Same()
    held = (nn.DataParallel(same) if parallel else same).state_dict()
    torch.save({"epoch": 3, wrapper: held, "optimizer": {"state": {}}}, tmp_path / "checkpoint.pt")
    with caplog.at_level(logging.INFO, logger="erbench"):
        model = load_user_model(f"{net}:make_model", tmp_path / "checkpoint.pt")
    assert holds(model, dict(same.state_dict()))
    assert f"the state dict under '{wrapper}' is taken" in caplog.text
    assert ("every name starts with 'module.'" in caplog.text) is parallel


def test_a_prefix_that_the_model_has_itself_stays(net: str, tmp_path: Path) -> None:
    source = write(tmp_path / "parallel.py", NET + "\ndef parallel():\n    return nn.DataParallel(Net())\n")
    state = dict(nn.DataParallel(Same()).state_dict())
    torch.save(state, tmp_path / "weights.pt")
    assert holds(load_user_model(f"{source}:parallel", tmp_path / "weights.pt"), state)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("head.bias"), "do not fit the model: missing head.bias"),
        (
            lambda state: [state.pop(name) for name in list(state)] and state.update(a=torch.ones(1)),
            "and 1 more; unexpected a",
        ),
        (lambda state: state.update(extra=torch.ones(1)), "do not fit the model: unexpected extra"),
        (
            lambda state: state.update({"head.weight": torch.ones(7, 5)}),
            "do not fit the model: of another shape head.weight (7, 5) for (3, 5)",
        ),
        (lambda state: state.update({"head.weight": "no tensor"}), "of another shape head.weight str for (3, 5)"),
    ],
)
def test_weights_of_another_network_are_refused(
    net: str, state: dict[str, Any], tmp_path: Path, change: Any, says: str
) -> None:
    change(state)
    torch.save(state, tmp_path / "weights.pt")
    assert says in refusal(DataError, f"{net}:make_model", tmp_path / "weights.pt")


def test_files_that_hold_no_weights_are_refused(net: str, state: dict[str, Any], tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / "good.safetensors")
    torch.save(state, tmp_path / "good.pt")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    safe, zipped, old = ((tmp_path / name).read_bytes() for name in ("good.safetensors", "good.pt", "old.pt"))
    files = {
        "empty.pt": b"",
        "empty.safetensors": b"",
        "half.pt": zipped[: len(zipped) // 2],
        "three.pt": zipped[:3],
        "old.pt": old[:-5],
        "start.pt": old[:40],
        "half.safetensors": safe[: len(safe) // 2],
        "few.safetensors": safe[:5],
        "other.pt": safe,
        "other.safetensors": zipped,
        "text.pt": b"hello world, no weights here\n",
        "zeros.pth": bytes(1000),
        "picture.bin": b"\x89PNG\r\n\x1a\n" + bytes(100),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        said = refusal(DataError, f"{net}:make_model", tmp_path / name)
        assert name in said
        assert ("empty file" if not content else "damaged or") in said
    np.savez(tmp_path / "arrays.npz", weight=np.ones(3))
    (tmp_path / "arrays.npz").rename(tmp_path / "arrays.pt")
    assert "damaged or" in refusal(DataError, f"{net}:make_model", tmp_path / "arrays.pt")
    assert "No such file" in refusal(DataError, f"{net}:make_model", tmp_path / "none.pt")
    (tmp_path / "folder.pt").mkdir()
    assert "Is a directory" in refusal(DataError, f"{net}:make_model", tmp_path / "folder.pt")
    assert "weights come as .safetensors, .pt" in refusal(DataError, f"{net}:make_model", tmp_path / "weights.h5")


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ([torch.ones(2)], "hold a list, not a state dict"),
        (torch.ones(2), "hold a Tensor, not a state dict"),
        ({}, "hold no state dict but nothing"),
        (
            {"epoch": 3, "weights": {"a": torch.ones(2)}},
            "hold no state dict but epoch, weights; save model.state_dict()",
        ),
    ],
)
def test_what_is_no_state_dict_is_named(net: str, tmp_path: Path, held: Any, says: str) -> None:
    torch.save(held, tmp_path / "weights.pt")
    assert says in refusal(DataError, f"{net}:make_model", tmp_path / "weights.pt")


@pytest.mark.parametrize("form", ["zip", "old", "pickle"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(net: str, tmp_path: Path, form: str) -> None:
    weights, touched = tmp_path / "weights.pt", tmp_path / "touched"
    held = {"state_dict": Same().state_dict(), "extra": Touching(touched)}
    if form == "pickle":
        weights.write_bytes(pickle.dumps(held))
    else:
        torch.save(held, weights, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(DataError, match="need pickle") as caught:
        load_user_model(f"{net}:make_model", weights)
    assert not touched.exists()
    assert form == "pickle" or "it asks for posix.mkdir" in str(caught.value)
    (torch.load(weights, weights_only=False) if form != "pickle" else pickle.loads(weights.read_bytes()))
    assert touched.exists()  # so it would have run


def test_the_recipe_for_a_whole_model_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(
        tmp_path / "plain.py", "from torch import nn\n\ndef make():\n    return nn.Sequential(nn.Linear(4, 3))\n"
    )
    whole = nn.Sequential(nn.Linear(4, 3))
    torch.save(whole, tmp_path / "whole.pt")
    with pytest.raises(DataError, match=r"it asks for torch\.nn\.modules\.container\.Sequential") as caught:
        load_user_model(f"{source}:make", tmp_path / "whole.pt")
    monkeypatch.chdir(tmp_path)
    first, *recipe = str(caught.value).splitlines()
    assert "turn it into safetensors" in first
    assert len(recipe) == 2
    exec("\n".join(line.strip() for line in recipe), {"torch": torch, "safetensors": safetensors})
    assert holds(load_user_model(f"{source}:make", tmp_path / "weights.safetensors"), dict(whole.state_dict()))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_torchscript_program_is_told_apart(net: str, tmp_path: Path) -> None:
    torch.jit.trace(nn.Linear(4, 3), torch.ones(1, 4)).save(tmp_path / "program.pt")
    said = refusal(DataError, f"{net}:make_model", tmp_path / "program.pt")
    assert "let the factory return torch.jit.load('program.pt')" in said
    source = write(
        tmp_path / "program.py",
        f"import torch\ndef make():\n    return torch.jit.load({str(tmp_path / 'program.pt')!r})\n",
    )
    assert load_user_model(f"{source}:make", None).module(torch.ones(2, 4)).shape == (2, 3)
