"""Running Python that a user wrote: a file imported by its path, and its exceptions told in one line.

Only a file that was named on purpose is ever run.
"""

import hashlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch

from attacks.errors import ModelError, RequestError

LONGEST = 300  # characters of a foreign message
NOT_THE_USERS = (Path(torch.__file__).parent, Path(sysconfig.get_path("stdlib")), Path(__file__).resolve().parents[1])
HINTS: dict[type[BaseException], str] = {
    ModuleNotFoundError: "install the package, or put the module beside the file",
    SystemExit: "a program's own part belongs under `if __name__ == '__main__':`",
}
_neighbors: set[str] = set()  # names of modules that the latest user file took from its folder


@contextmanager
def told_in_one_line(what: str) -> Iterator[None]:
    """Turn whatever the user's code raises in the block into a `ModelError` that starts with `what`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise ModelError(f"{what}: {told(error)}") from error


def told(error: BaseException) -> str:
    """An exception as one line: file and line of the user's code that it came from, its type and its message."""
    message = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    message = message if len(message) <= LONGEST else message[:LONGEST] + "…"
    parts = [_place(error), type(error).__name__, message]
    hint = next((f" ({text})" for kind, text in HINTS.items() if isinstance(error, kind)), "")
    return ": ".join(part for part in parts if part) + hint


@contextmanager
def neighborhood(folder: Path) -> Iterator[list[Path]]:
    """Let the block import from `folder`; `sys.path` and torch's defaults are afterwards what they were before.

    Modules that an earlier block took from its own folder are forgotten first, so that two models may each have a
    neighbor of the same name.

    Yields:
        A list that is filled when the block ends: the files it imported from `folder`, sorted.
    """
    for name in _neighbors:
        sys.modules.pop(name, None)
    _neighbors.clear()
    known, path, dtype, compiled = set(sys.modules), list(sys.path), torch.get_default_dtype(), sys.dont_write_bytecode
    files: list[Path] = []
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # nothing is left in the user's folder
    try:
        with torch.enable_grad():  # what the block sets globally ends here
            yield files
    finally:
        sys.path[:], sys.dont_write_bytecode = path, compiled
        torch.set_default_dtype(dtype)
        for name in set(sys.modules) - known:
            if name.partition(".")[0] not in known and (file := _file_below(folder, name)):
                _neighbors.add(name)
                files.append(file)
        files.sort()


def import_file(path: Path, source: bytes) -> ModuleType:
    """Run `source`, the bytes of the file at `path`, as a module of a name that nothing else has.

    The bytes are run as given and no compiled copy is read, so that a digest of them tells what was run.

    Raises:
        RequestError: it is no Python source.
        ModelError: it raised an exception.
    """
    path = path.resolve()
    name = f"_erbench_user_{hashlib.sha256(bytes(path)).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise RequestError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and torch look a class's module up there
    try:
        with told_in_one_line(f"{path.name} cannot be imported"):
            exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _place(error: BaseException) -> str:
    """'file.py, line 12': the deepest line of an exception that is the user's own; empty when none is."""
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        return f"{Path(error.filename).name}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        foreign = frame.filename.startswith("<") or {"site-packages", "dist-packages"} & set(file.parts)
        if not foreign and not any(file.is_relative_to(folder) for folder in NOT_THE_USERS):
            return f"{file.name}, line {frame.lineno}"
    return ""


def _file_below(folder: Path, name: str) -> Path | None:
    """The file of the imported module `name`, when it was found by searching `folder` itself."""
    file = getattr(sys.modules[name], "__file__", None)
    if not file or not Path(file).is_relative_to(folder):
        return None
    parts = list(Path(file).relative_to(folder).parts)
    parts[-1] = parts[-1].partition(".")[0]
    return Path(file) if [part for part in parts if part != "__init__"] == name.split(".") else None
