"""Loading a user's own network: only the file that was named is run, and what it raises is told in one line.

Lines of errors are found by a mark in the text.
"""

import hashlib
import pickle
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from user_files import NET, refusal, write

from attacks.errors import ModelError, RequestError
from bench.user_models.user_model import load_user_model, parse_model


@pytest.fixture
def net(tmp_path: Path) -> str:
    return write(tmp_path / "net.py", NET)


def test_a_model_is_a_file_and_a_name(net: str) -> None:
    assert parse_model(f"{net}:make_model") == (Path(net), "make_model")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{net}", "a colon"),
        (":make_model", "a colon"),
        ("{net}:", "a plain name"),
        ("{net}:make_model()", "a plain name"),
        ("{folder}:make_model", "is a folder"),
        ("{folder}/none.py:make_model", "there is no"),
        ("{folder}/net.txt:make_model", "ends in .py"),
    ],
)
def test_anything_else_is_refused_with_an_example(net: str, tmp_path: Path, text: str, says: str) -> None:
    write(tmp_path / "net.txt", NET)
    said = refusal(RequestError, text.format(net=net, folder=tmp_path))
    assert says in said
    assert "for example --model my_model.py:make_model" in said


@pytest.mark.parametrize("factory", ["make_model", "Net", "ready"])
def test_a_function_a_class_or_a_network_gives_a_frozen_network_in_eval_mode(net: str, factory: str) -> None:
    model = load_user_model(f"{net}:{factory}", None)
    assert (model.file, model.factory) == ("net.py", factory)
    assert not any(module.training for module in model.module.modules())
    assert [parameter.requires_grad for parameter in model.module.parameters()] == [False] * 4
    assert model.module(torch.rand(2, 1, 2, 2)).shape == (2, 3)


def test_an_unknown_name_gets_the_files_own_near_one(net: str) -> None:
    said = refusal(RequestError, f"{net}:make_modle")
    assert "unknown factory 'make_modle'; did you mean 'make_model'?" in said
    assert said.endswith("known: Net, make_model, wants, gives_nothing, gives_weights, gives_class, lazy, ready")


def test_a_file_without_functions_says_so(tmp_path: Path) -> None:
    source = write(tmp_path / "bare.py", "from torch.nn import Linear\nnumber = 3\n")
    assert "defines no function or model, so no 'make'" in refusal(RequestError, f"{source}:make")


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("number", "an object of type int, neither a function nor an nn.Module"),
        ("wants", "wants arguments (depth, width)"),
        ("gives_nothing", "it returned None"),
        ("gives_weights", "it returned an object of type OrderedDict"),
        ("gives_class", "it returned the class Net itself"),
        ("lazy", "weight has no shape yet"),
    ],
)
def test_what_makes_no_network_is_refused(net: str, factory: str, says: str) -> None:
    assert says in refusal(ModelError, f"{net}:{factory}")


# ---- the user's own exceptions

FAILING = {
    "import": ("", "value = 1\n\nraise ValueError('first\\nsecond')  # here\n", "ValueError: first second"),
    "factory": ("", "def make():\n\n    return {}['key']  # here\n", "KeyError: 'key'"),
    "without a message": ("", "def make():\n    assert False  # here\n", "AssertionError"),
    "inside torch": (
        "",
        "from torch import nn\n\ndef make():\n    return nn.Linear('four', 3)  # here\n",
        "TypeError: ",
    ),
    "generated": ("", "def make():\n    exec('raise OSError(5)')  # here\n", "OSError: 5"),
    "syntax": ("", "def make():\n    return 1 +  # here\n", "SyntaxError: invalid syntax"),
    "missing package": (
        "",
        "\nimport no_such_package  # here\n",
        "ModuleNotFoundError: No module named 'no_such_package' (install ",
    ),
    "a program": ("", "import sys\nsys.exit(3)  # here\n", "SystemExit: 3 (a program's own part belongs under"),
    "neighbor": ("import torch\n\n1 / 0  # here\n", "import near\n", "ZeroDivisionError: division by zero"),
    "neighbor's function": ("def f():\n    1 / 0  # here\n", "import near\n\ndef make():\n    near.f()\n", "ZeroDiv"),
    "neighbor's syntax": ("\ndef f(:  # here\n", "import near\n", "SyntaxError: "),
}


@pytest.mark.parametrize(("near", "text", "says"), FAILING.values(), ids=FAILING)
def test_an_exception_is_told_with_the_users_line(tmp_path: Path, near: str, text: str, says: str) -> None:
    source = write(tmp_path / "failing.py", text)
    write(tmp_path / "near.py", near)
    with pytest.raises(ModelError) as caught:
        load_user_model(f"{source}:make", None)
    said = str(caught.value)
    name, marked = ("near.py", near) if near else ("failing.py", text)
    (line,) = (number for number, line in enumerate(marked.splitlines(), 1) if "# here" in line)
    assert f": {name}, line {line}: {says}" in said
    assert "\n" not in said
    assert isinstance(caught.value.__cause__, BaseException)
    assert type(caught.value.__cause__).__name__ in said


def test_an_exception_while_the_model_is_put_into_eval_mode_is_told(tmp_path: Path) -> None:
    text = "from torch import nn\n\nclass Net(nn.Linear):\n    def eval(self):\n        raise OSError('no')\n"
    text += "\ndef make():\n    return Net(4, 3)\n"
    said = refusal(ModelError, write(tmp_path / "odd.py", text) + ":make")
    assert said == "make in odd.py made a model that cannot be used: odd.py, line 5: OSError: no"


@pytest.mark.parametrize(
    "text", ["import near\n\ndef make():\n    return near.NET", "def make():\n    import near\n    return near.NET"]
)
def test_two_models_each_have_their_own_neighbor_of_one_name(tmp_path: Path, text: str) -> None:
    widths = {}
    for width in (2, 3, 4):
        folder = tmp_path / str(width)
        source = write(folder / "net.py", text)
        write(folder / "near.py", f"from torch import nn\nNET = nn.Linear({width}, 1)\n")
        widths[width] = load_user_model(f"{source}:make", None).module.in_features
    assert widths == {2: 2, 3: 3, 4: 4}


def test_what_was_imported_before_is_no_neighbor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("__init__", "second"):
        write(tmp_path / "whole_package" / f"{name}.py", "")
    package = import_module("whole_package")
    source = write(tmp_path / "net.py", "import whole_package.second\nfrom torch import nn\nNET = nn.Linear(2, 1)\n")
    first = load_user_model(f"{source}:NET", None)
    second = sys.modules["whole_package.second"]
    load_user_model(f"{source}:NET", None)
    assert sys.modules["whole_package"] is package
    assert sys.modules["whole_package.second"] is second  # half a package is never imported anew
    assert first.source_digest == hashlib.sha256(Path(source).read_bytes()).hexdigest()


def test_an_edited_neighbor_is_read_again_and_changes_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    source = write(tmp_path / "net.py", "from layers.first import NET\n")
    write(tmp_path / "layers" / "__init__.py", "")
    digests = []
    for width in (2, 3, 2):  # of one length, within one second
        write(tmp_path / "layers" / "first.py", f"from torch import nn\nNET = nn.Linear({width}, 1)\n")
        model = load_user_model(f"{source}:NET", None)
        assert model.module.in_features == width
        digests.append(model.source_digest)
    assert digests[0] == digests[2] != digests[1]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["__init__.py", "first.py", "layers", "net.py"]


@pytest.mark.parametrize("ends", ["", "raise OSError\n"])
def test_nothing_global_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    text = "import sys, torch\nsys.path.append('/somewhere')\ntorch.set_grad_enabled(False)\n"
    text += "torch.set_default_dtype(torch.float64)\nnet = torch.nn.Linear(2, 2)\n"
    source = write(tmp_path / "loud.py", text + ends)
    before = list(sys.path), torch.get_default_dtype(), torch.is_grad_enabled(), sys.dont_write_bytecode
    modules = set(sys.modules)
    try:
        load_user_model(f"{source}:net", None)
    except ModelError:
        assert ends
        assert set(sys.modules) == modules
    assert (list(sys.path), torch.get_default_dtype(), torch.is_grad_enabled(), sys.dont_write_bytecode) == before


def test_dataclasses_and_whole_models_find_their_module(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass, field\nfrom torch import nn\n"
    text += "@dataclass\nclass Config:\n    width: int = field(default=4)\n"  # looks its module up in sys.modules
    text += "class Net(nn.Linear):\n    pass\n\ndef make():\n    return Net(Config().width, 3)\n"
    model = load_user_model(write(tmp_path / "configured.py", text) + ":make", None)
    assert pickle.loads(pickle.dumps(model.module)).in_features == 4


def test_the_source_digest_is_that_of_the_file(net: str) -> None:
    assert load_user_model(f"{net}:Net", None).source_digest == hashlib.sha256(NET.encode()).hexdigest()


def test_the_state_digest_tells_names_dtypes_shapes_and_values(tmp_path: Path) -> None:
    def digest(make: str) -> str:
        return load_user_model(
            write(tmp_path / "net.py", f"import torch\nfrom torch import nn\n{make}") + ":net", None
        ).state_digest

    plain = "net = nn.Linear(4, 3)\nfor p in net.parameters():\n    nn.init.zeros_(p)\n"
    changed = {
        "value": plain + "net.bias.data[2] = 1e-30\n",
        "three floats": plain + "net.register_buffer('more', torch.zeros(3))\n",
        "three integers": plain + "net.register_buffer('more', torch.zeros(3, dtype=torch.int32))\n",  # the same bytes
        "shape": plain + "net.weight.data = net.weight.data.reshape(3, 4).T.contiguous()\n",
        "name": plain + "net = nn.Sequential(net)\n",
        "scalar": plain + "net.register_buffer('count', torch.tensor(3))\n",
        "empty": plain + "net.register_buffer('none', torch.empty(0, dtype=torch.bfloat16))\n",
    }
    assert digest(plain) == digest(plain + "# the same\n")
    assert len({digest(plain)} | {digest(text) for text in changed.values()}) == 1 + len(changed)


def test_random_first_weights_are_the_same_ones_every_time(net: str) -> None:
    before = torch.get_rng_state()
    first, second = load_user_model(f"{net}:make_model", None), load_user_model(f"{net}:make_model", None)
    assert first.state_digest == second.state_digest
    assert torch.equal(torch.get_rng_state(), before)
