"""What code made a cached thing, so that an edited attack or defense is never answered from the cache.

The version is a hash over the syntax trees of the modules that define an entry's functions and of everything these
import from their own package, `attacks` or `defenses`. Comments and layout do not change it; anything executed does.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.canonical import HASH_LENGTH

PACKAGES = frozenset({"attacks", "defenses"})
ROOT = Path(__file__).resolve().parents[1]
COMPUTE_NOTHING = frozenset({"attacks.errors", "attacks.registration"})  # a reworded message retrains nothing


def code_version(*functions: Callable[..., Any]) -> str:
    """A hash of all the code behind `functions`; a function without source counts as its module's name."""
    modules: set[str] = set()
    for function in functions:
        _collect(_unwrap(function).__module__, modules)
    digests = "\n".join(_source(name).digest for name in sorted(modules))
    return hashlib.sha256(digests.encode()).hexdigest()[:HASH_LENGTH]


@cache
def program_version() -> str:
    """A hash over every source file of the program: what all workers of a sweep must have alike."""
    digest = hashlib.sha256()
    for path in program_files():
        digest.update(f"{path.relative_to(ROOT).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:HASH_LENGTH]


def program_files() -> list[Path]:
    """Every source file of the program, in one order."""
    return [path for package in sorted(PACKAGES | {"bench"}) for path in sorted((ROOT / package).rglob("*.py"))]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A module. digest: of its syntax tree; imports: what it imports from where, (module, names) each."""

    digest: str
    imports: tuple[tuple[str, tuple[str, ...]], ...]


@cache
def _source(name: str) -> _Source:
    """What a module's source says; its name alone where there is no source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules.get(name) or import_module(name)))
    except (OSError, TypeError):
        tree = ast.Module(body=[ast.Expr(ast.Constant(name))], type_ignores=[])
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return _Source(
        digest=hashlib.sha256(ast.dump(tree).encode()).hexdigest(),
        imports=tuple((node.module or "", tuple(alias.name for alias in node.names)) for node in found),
    )


def _imports(name: str) -> Iterator[str]:
    """Modules of the same package, of `attacks` and of `defenses` that a module imports, at whatever depth."""
    packages = PACKAGES | {name.partition(".")[0]}
    for module, imported in _source(name).imports:
        if module.partition(".")[0] in packages:
            yield module
            # a module, not a thing in one
            yield from (whole for each in imported if (whole := f"{module}.{each}") in sys.modules)
