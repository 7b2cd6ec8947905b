"""Writing files whole or not at all, and knowing them by their checksum."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from attacks.errors import StorageError

FULL = (errno.ENOSPC, errno.EDQUOT)
MAKE_ROOM = "Make room there; the same command goes on from what is finished"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk, then rename it to `path`.

    Raises:
        StorageError: the folder cannot be written to, or the disk is full.
    """
    require_writable(path.parent)
    temporary = path
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        advice = f". {MAKE_ROOM}" if error.errno in FULL else ""
        raise StorageError(f"cannot write {path}: {error.strerror or error}{advice}") from error
    finally:
        if temporary != path:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Fill a file with UTF-8 text; for `write_atomically`."""
    path.write_text(text, encoding="utf-8")


def require_writable(folder: Path) -> None:
    """Make `folder` if needed; raise `StorageError` when it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from error


def cannot_write(folder: Path, error: Exception) -> StorageError:
    """What is said when a folder takes no files."""
    reason = getattr(error, "strerror", None) or error
    advice = MAKE_ROOM if getattr(error, "errno", None) in FULL else "Choose another folder with --results-dir"
    return StorageError(f"cannot write to {folder}: {reason}. {advice}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
