"""Fetching a dataset's files: checked before they are kept, kept whole or not at all.

A download runs in a hidden folder beside its target and is renamed into place once its MD5 is right, so
that neither a killed process nor a bad line leaves a half file that later counts as data.
"""

import hashlib
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from attacks.errors import DataError
from bench.datasets.contract import LoadRequest

CHUNK = 1 << 20  # bytes between two reports of progress
SILENCE = 30  # seconds without a byte after which a server counts as unreachable
SCRATCH_PREFIX = ".incomplete-"


def missing(dataset: str, place: Path, megabytes: int, remark: str = "") -> DataError:
    """The error for data that are not there: names the dataset, the place and the command that fetches it."""
    return DataError(
        f"dataset '{dataset}' is not in {place}: add --download (fetches {megabytes} MB) to the command, "
        f"or --data-dir FOLDER where it lies already{remark}"
    )


def damaged(path: Path, why: str) -> DataError:
    """The error for a file that is there but is not what it should be."""
    return DataError(f"{path} is damaged ({why}): delete it and add --download")


def require_digest(path: Path, expected: str, algorithm: str = "md5") -> None:
    """Raise `DataError` unless the file's digest (hex) is `expected`; the file is read in pieces."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        raise damaged(path, f"{algorithm.upper()} {found} instead of {expected}")


def make_scratch(folder: Path) -> "TemporaryDirectory[str]":
    """A hidden scratch folder inside `folder`, on the same disk so that renaming out of it is atomic.

    Raises:
        DataError: `folder` cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(dir=folder, prefix=SCRATCH_PREFIX)
    except OSError as error:
        raise DataError(f"cannot write to {folder} ({error.strerror}): choose another --data-dir") from error


def fetch(urls: Sequence[str], target: Path, md5: str, request: LoadRequest) -> None:
    """Download `target` from the first address that delivers the right bytes.

    Args:
        urls: addresses of the same file, tried in order.
        target: where the file is put, whole and checked.
        md5: the file's MD5 as hex.
        request: is told of the progress.

    Raises:
        DataError: no address delivered the right bytes, or the folder cannot be written to; nothing is kept.
    """
    failures = []
    with make_scratch(target.parent) as scratch:
        partial = Path(scratch) / target.name
        for url in urls:
            try:
                found = _stream(url, partial, request)
            except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
                failures.append(f"{url}: {getattr(error, 'reason', None) or error}")
                continue
            if found == md5:
                partial.replace(target)
                return
            failures.append(f"{url}: wrong checksum (MD5 {found} instead of {md5})")
    raise DataError(
        f"could not download {target.name} ({'; '.join(failures)}): nothing was kept; check the network "
        f"and try again, or put the file at {target} yourself"
    )


def _stream(url: str, partial: Path, request: LoadRequest) -> str:
    """Copy what `url` sends to `partial` and return its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    with (
        urlopen(Request(url, headers={"User-Agent": "erbench"}), timeout=SILENCE) as response,
        partial.open("wb") as file,
    ):
        length = int(response.headers.get("Content-Length") or 0)
        with request.progress.task(f"downloading {partial.name}, MB", -(-length // CHUNK)) as task:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                task.advance()
    return digest.hexdigest()
