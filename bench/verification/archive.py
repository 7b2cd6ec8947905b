"""Records with all that their numbers follow from, in one zip file that somebody else can verify.

Inside it looks like a results folder (`runs/`, `store/`), with `manifest.json` before it: the layout's number and the
SHA-256 and size of every other member. An archive is data from anywhere: only names of the known layout are taken
from it, no more bytes than it declares, and nothing whose checksum does not match.
"""

import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, LargeZipFile, ZipFile, ZipInfo

from attacks.errors import DataError, RequestError
from bench.files import sha256_of, write_atomically
from bench.record import read_record
from bench.storage.needs import needed_items
from bench.storage.store import Store
from defenses.classifiers.user_model import USER_MODEL

SCHEMA = 1
MANIFEST = "manifest.json"
MEMBER = re.compile(
    r"runs/[0-9a-f]{16}/(record\.json|outcomes\.parquet)"
    r"|store/(classifiers|detectors|crafted)/[0-9a-f]{16}\.(json|safetensors)"
)
MOST_BYTES = 8 * 2**30  # of all members, unpacked
MOST_EXPANSION = 100  # times the size of the archive; images and weights stay below 20
MOST_MANIFEST = 16 * 2**20
BLOCK = 2**20
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal records make equal archives


def export_archive(records: Sequence[tuple[Path, Store]], out: Path) -> int:
    """Pack records, by folder, and what they need of their stores into `out`; return its size in bytes.

    Raises:
        RequestError: a record has no numbers, or does not name what they follow from.
        DataError: a record or a stored thing is missing or damaged, or `out` cannot be written.
    """
    paths: dict[str, Path] = {}
    for folder, store in records:
        paths |= _of_record(folder, store)
    members = dict(sorted(paths.items()))
    manifest = {
        "schema": SCHEMA,
        "members": {name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for name, path in members.items()},
    }

    def write(temporary: Path) -> None:
        with ZipFile(temporary, "w") as packed:
            packed.writestr(_entry(MANIFEST), json.dumps(manifest, indent=1))
            for name, path in members.items():
                with path.open("rb") as source, packed.open(_entry(name), "w", force_zip64=True) as target:
                    while block := source.read(BLOCK):
                        target.write(block)

    write_atomically(out, write)
    return out.stat().st_size


def extract_archive(archive: Path, into: Path) -> None:
    """Unpack an archive into the empty folder `into`, member by member, each one checked.

    Raises:
        DataError: it is no archive, is truncated or damaged, has a newer layout, or holds what does not belong there.
    """
    if not archive.is_file():
        raise DataError(f"there is no archive {archive}")
    try:
        with ZipFile(archive) as packed:
            declared = _checked_manifest(packed, archive)
            for name, entry in declared.items():
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _unpack(packed, name, int(entry["bytes"]), target)
                if sha256_of(target) != entry["sha256"]:
                    raise DataError(f"{archive}: {name} does not match its checksum in {MANIFEST}")
    except (BadZipFile, LargeZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive} is no whole zip archive ({error}); ask for it again") from error
    except OSError as error:
        raise DataError(f"{archive} cannot be unpacked: {error.strerror or error}") from error


def _of_record(folder: Path, store: Store) -> dict[str, Path]:
    """Members of one record: name in the archive -> file."""
    record = read_record(folder)
    if record is None:
        raise DataError(f"there is no record.json in {folder}")
    if record.status != "done":
        raise RequestError(f"{folder} ended without numbers ({record.status}); there is nothing to verify in it")
    if not record.stored:
        raise RequestError(
            f"{folder} does not name what its numbers follow from, as records of older versions; remove it and run "
            f"again: {record.command or 'the call that made it'}"
        )
    members = {f"runs/{folder.name}/{name}": folder / name for name in ("record.json", "outcomes.parquet")}
    is_own = record.spec["classifier"]["name"] == USER_MODEL.name
    for kind, key in needed_items(record.stored):
        if kind == "classifiers" and is_own:  # the user's own weights go another way
            continue
        if store.read(kind, key) is None:  # a damaged one is raised
            raise DataError(
                f"{kind}/{key}, which {folder} needs, is not in {store.root}; remove the record and run it again"
            )
        members |= {f"store/{kind}/{path.name}": path for path in store.paths(kind, key)}
    return members


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, EPOCH)
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _checked_manifest(packed: ZipFile, archive: Path) -> dict[str, dict[str, Any]]:
    """What the manifest says of each member, once it and the zip's own directory say the same and it is harmless."""
    entries = packed.infolist()
    names = [entry.filename for entry in entries]
    if MANIFEST not in names:
        raise DataError(f"{archive} is no archive of `bench store export`: it has no {MANIFEST}")
    declared = _read_manifest(packed, archive)
    if len(set(names)) != len(names) or set(names) != {MANIFEST, *declared}:
        raise DataError(f"{archive} does not hold the members that its {MANIFEST} names")
    for entry in entries:
        if entry.filename != MANIFEST and not MEMBER.fullmatch(entry.filename):
            raise DataError(f"{archive} holds {entry.filename!r}, which no record has; nothing is unpacked")
        if entry.flag_bits & 1 or entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise DataError(f"{archive}: {entry.filename} is encrypted or packed in an unusual way")
        if entry.filename != MANIFEST and entry.file_size != declared[entry.filename]["bytes"]:
            raise DataError(f"{archive}: {entry.filename} is not of the size that {MANIFEST} says")
    total, own = sum(entry.file_size for entry in entries), archive.stat().st_size
    if total > min(MOST_BYTES, MOST_EXPANSION * own):
        raise DataError(
            f"{archive} ({own:,} bytes) would unpack to {total:,} bytes; at most {MOST_EXPANSION} times its size and "
            f"{MOST_BYTES:,} bytes are taken"
        )
    return declared


def _read_manifest(packed: ZipFile, archive: Path) -> dict[str, dict[str, Any]]:
    foreign = DataError(f"{archive} is no archive of `bench store export`: its {MANIFEST} cannot be read")
    try:
        with packed.open(MANIFEST) as file:
            text = file.read(MOST_MANIFEST + 1)
        if len(text) > MOST_MANIFEST:
            raise foreign
        manifest = json.loads(text)
        schema = manifest["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise DataError(f"{archive} has schema {schema}, this version reads up to {SCHEMA}; update erbench")
        declared: dict[str, dict[str, Any]] = manifest["members"]
        is_known = schema == SCHEMA and all(
            isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str) for entry in declared.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise foreign from error
    if not is_known:
        raise foreign
    return declared


def _unpack(packed: ZipFile, name: str, size: int, target: Path) -> None:
    """Write a member of `size` bytes; one that turns out larger is refused before more than that is written."""
    left = size
    with packed.open(name) as source, target.open("wb") as file:
        while block := source.read(min(BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                raise DataError(f"{packed.filename}: {name} holds more than the {size:,} bytes it declares")
            file.write(block)
