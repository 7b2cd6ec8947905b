"""The rules of the house that a reader cannot see at a glance: which way imports run, who prints, how long files are.

The rules are the project's own; every import is read from the source, none is executed.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("attacks", "defenses", "bench")
    for path in sorted((ROOT / package).rglob("*.py"))
}
NOT_CLI = {name: path for name, path in MODULES.items() if not name.startswith("bench.cli")}


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imported(name: str, *, top_level: bool = False) -> Iterator[str]:
    """Names of the modules that a module imports, anywhere in it or at its top alone."""
    nodes = tree(name).body if top_level else ast.walk(tree(name))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)


def importers(names: dict[str, Path], prefixes: tuple[str, ...]) -> list[str]:
    """Which of `names` import a module below one of `prefixes`."""
    return [name for name in names if any((other + ".").startswith(prefixes) for other in imported(name))]


def below(package: str) -> dict[str, Path]:
    return {name: path for name, path in MODULES.items() if (name + ".").startswith(package + ".")}


def test_the_reader_of_imports_reads() -> None:
    assert len(MODULES) > 60
    assert {"torch", "attacks.contract"} <= set(imported("attacks.cw"))
    assert "sklearn.linear_model" in set(imported("defenses.detectors.decision"))  # also within functions
    assert "sklearn.linear_model" not in set(imported("defenses.detectors.decision", top_level=True))


def test_imports_run_one_way() -> None:
    assert importers(below("attacks"), ("defenses.", "bench.")) == []
    assert importers(below("defenses"), ("bench.",)) == []
    assert importers(below("defenses"), ("attacks.",))  # as they may
    assert importers(below("bench"), ("defenses.",))


def test_nothing_but_the_command_line_knows_the_command_line() -> None:
    assert importers(NOT_CLI, ("bench.cli.", "typer.", "click.", "rich.", "argparse.")) == []


def calls(name: str) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree(name)) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("call", ["print", "input", "sys.exit", "sys.stdout.write", "sys.stderr.write"])
def test_nothing_but_the_command_line_prints(call: str) -> None:
    assert [name for name in NOT_CLI if call in calls(name)] == []
    if call == "print":
        assert any(call in calls(name) for name in MODULES)


def test_no_circles() -> None:
    graph = {name: {other for other in imported(name, top_level=True) if other in MODULES} for name in MODULES}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError and shows the circle
    assert order.index("attacks.contract") < order.index("defenses.contract") < order.index("bench.pipeline")


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "shared"}
    assert [name for name in MODULES if drawers & set(name.split("."))] == []


def test_files_stay_short_and_say_what_they_are() -> None:
    assert {name: count for name, path in MODULES.items() if (count := len(path.read_text().splitlines())) > 300} == {}
    assert [name for name in MODULES if not ast.get_docstring(tree(name))] == []


def test_nothing_is_ever_unpickled() -> None:
    unsafe = ("dill.", "joblib.", "shelve.", "marshal.", "cloudpickle.")
    assert importers(MODULES, unsafe) == []
    for name in MODULES:
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Import | ast.ImportFrom) and "pickle" in ast.unparse(node):
                assert ast.unparse(node) == "from pickle import UnpicklingError", name  # the error alone
            if not isinstance(node, ast.Call):
                continue
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            called = ast.unparse(node.func)
            if called == "torch.load" or called.endswith(("get_state_dict", "load_state_dict_from_url")):
                assert given.get("weights_only") == "True", f"{name}, line {node.lineno}"
            assert not called.endswith("read_pickle"), name
            assert given.get("allow_pickle", "False") == "False", name


HEAVY = ["torch", "torchvision", "numpy", "scipy", "sklearn", "pandas", "pyarrow", "matplotlib", "jinja2"]


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["paper", "--help"]], ids=" ".join)
def test_the_command_line_helps_without_anything_heavy(arguments: list[str]) -> None:
    program = (
        f"import json, sys, bench.cli\nsys.argv = ['bench', *{arguments}]\n"
        f"try:\n    bench.cli.main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"print(json.dumps([code, *(name for name in {HEAVY} if name in sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Usage: bench" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == [0]
