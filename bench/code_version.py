"""What code made a cached thing, so that an edited attack or defense is never answered from the cache.

The version is a hash over the syntax trees of the modules that define an entry's functions and of everything these
import from their own package, `attacks` or `defenses`. Comments and layout do not change it; anything executed does.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.canonical import HASH_LENGTH

PACKAGES = frozenset({"attacks", "defenses"})
COMPUTE_NOTHING = frozenset({"attacks.errors", "attacks.registration"})  # a reworded message retrains nothing


def code_version(*functions: Callable[..., Any]) -> str:
    """A hash of all the code behind `functions`; a function without source counts as its module's name."""
    modules: set[str] = set()
    for function in functions:
        _collect(_unwrap(function).__module__, modules)
    texts = [ast.dump(_tree(name)) for name in sorted(modules)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:HASH_LENGTH]


@cache
def program_version() -> str:
    """A hash over every source file of the program: what all workers of a sweep must have alike."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for package in sorted(PACKAGES | {"bench"}):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:HASH_LENGTH]


def _unwrap(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, partial):
        function = function.func
    return function


def _collect(name: str, modules: set[str]) -> None:
    if name in modules or name in COMPUTE_NOTHING:
        return
    modules.add(name)
    for imported in _imports(name):
        _collect(imported, modules)


@cache
def _tree(name: str) -> ast.Module:
    """The syntax tree of a module; its name alone where there is no source."""
    try:
        return ast.parse(inspect.getsource(sys.modules.get(name) or import_module(name)))
    except (OSError, TypeError):
        return ast.Module(body=[ast.Expr(ast.Constant(name))], type_ignores=[])


def _imports(name: str) -> Iterator[str]:
    """Modules of the same package, of `attacks` and of `defenses` that a module imports, at whatever depth."""
    packages = PACKAGES | {name.partition(".")[0]}
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in packages:
            yield node.module
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name for name in names if name in sys.modules)  # a module, not a thing in one
