"""Archives: what is packed can be verified anywhere, and what is no such archive, or a trap, is refused in one line."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import pytest
from small_runs import Ended, Finished
from tampering import change_record

import bench.verification.archive as archives
from attacks.errors import DataError
from bench.record import Record
from bench.storage.needs import store_beside
from bench.verification.archive import MANIFEST, export_archive, extract_archive

Bench = Callable[..., Ended]
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def packed(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the pgd run."""
    path = tmp_path_factory.mktemp("archive") / "run.zip"
    folder = finished.results_dir / "runs" / finished.records["pgd"].run_id
    export_archive([(folder, store_beside(folder, finished.results_dir))], path)
    return path


def members_of(path: Path) -> Members:
    with ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def write(path: Path, members: Members, compression: int = ZIP_DEFLATED) -> Path:
    with ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def manifest(members: Members) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(members[MANIFEST])
    return read


def refusal(path: Path, into: Path) -> str:
    with pytest.raises(DataError) as caught:
        extract_archive(path, into)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_packed_run_is_verified_without_its_folder(
    finished: Finished, tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = shutil.copytree(finished.results_dir, tmp_path / "results")
    kd, pgd = finished.records["kd"], finished.records["pgd"]
    arguments = [kd.run_id[:8], pgd.run_id, "--results-dir", str(results), "--out", str(tmp_path / "run.zip")]
    ended = bench("store", "export", *arguments)
    assert ended.code == 0, ended.err
    assert "run.zip: 2 records, " in ended.out
    shutil.rmtree(results)
    monkeypatch.chdir(tmp_path)
    ended = bench("verify", "--archive", "run.zip")
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.splitlines()[-1].startswith("2 records: 2 verified, 0 disagree, 0 cannot be verified")
    alone = bench("verify", kd.run_id[:5], "--archive", "run.zip")
    assert alone.out.startswith(f"{kd.run_id}  kd · cw κ=2: 120 of 120 outcomes agree")
    assert [path.name for path in tmp_path.iterdir()] == ["run.zip"]  # nothing is unpacked beside it


def test_an_archive_holds_what_the_record_needs_and_nothing_else(
    finished: Finished, packed: Path, tmp_path: Path
) -> None:
    record = finished.records["pgd"]
    members = members_of(packed)
    assert next(iter(members)) == MANIFEST
    assert list(members)[1:] == sorted(
        [f"runs/{record.run_id}/{name}" for name in ("outcomes.parquet", "record.json")]
        + [
            f"store/{kind}/{key}.{ending}"
            for kind, key in (("classifiers", record.stored["classifier"]), ("crafted", record.stored["test"][0]))
            for ending in ("json", "safetensors")
        ]
    )
    extract_archive(packed, tmp_path)
    for name, content in members.items():
        if name != MANIFEST:
            assert (tmp_path / name).read_bytes() == content == (finished.results_dir / name).read_bytes()
    folder = finished.results_dir / "runs" / record.run_id
    export_archive([(folder, store_beside(folder, finished.results_dir))], tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_what_is_changed_in_an_archive_is_found(finished: Finished, packed: Path, tmp_path: Path, bench: Bench) -> None:
    record = finished.records["pgd"]
    results = tmp_path / "results"
    extract_archive(packed, results)
    folder = results / "runs" / record.run_id
    change_record(folder, lambda body: body["metrics"]["robust_accuracy"].update(successes=20, value=1.0))
    export_archive([(folder, store_beside(folder, results))], tmp_path / "better.zip")
    ended = bench("verify", "--archive", str(tmp_path / "better.zip"))
    assert ended.code == 1
    assert "metric robust_accuracy: " in ended.out

    members = members_of(packed)
    name = next(name for name in members if name.endswith(".safetensors"))
    members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])
    changed = write(tmp_path / "changed.zip", members)
    assert f"{name} does not match its checksum in manifest.json" in refusal(changed, tmp_path / "a")
    ended = bench("verify", "--archive", str(changed))
    assert (ended.code, ended.err.count("\n")) == (2, 1)


def test_truncated_and_foreign_files_are_refused(packed: Path, tmp_path: Path, bench: Bench) -> None:
    whole = packed.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        assert "is no whole zip archive" in refusal(tmp_path / "cut.zip", tmp_path / "a")
    broken = bytearray(whole)
    for place in range(len(whole) // 2, len(whole) // 2 + 40):
        broken[place] ^= 0xFF
    (tmp_path / "broken.zip").write_bytes(broken)
    assert "is no whole zip archive" in refusal(tmp_path / "broken.zip", tmp_path / "b")
    foreign = write(tmp_path / "foreign.zip", {"holiday.jpg": b"sea"})
    assert "is no archive of `bench store export`: it has no manifest.json" in refusal(foreign, tmp_path / "c")
    ended = bench("verify", "--archive", str(tmp_path / "absent.zip"))
    assert (ended.code, ended.err) == (2, f"error: there is no archive {tmp_path / 'absent.zip'}\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"schema": 2, "members": {}}', "has schema 2, this version reads up to 1; update erbench"),
        ('{"schema": "1", "members": {}}', "its manifest.json cannot be read"),
        ('{"members": {}}', "its manifest.json cannot be read"),
        ('{"schema": 1, "members": []}', "its manifest.json cannot be read"),
        ("[" * 100_000, "its manifest.json cannot be read"),
        ("no JSON", "its manifest.json cannot be read"),
        ('{"schema": 1, "members": {}}', "does not hold the members that its manifest.json names"),
    ],
)
def test_manifests_of_other_kinds_are_refused(packed: Path, tmp_path: Path, text: str, says: str) -> None:
    other = write(tmp_path / "other.zip", members_of(packed) | {MANIFEST: text.encode()})
    assert says in refusal(other, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def with_member(members: Members, name: str, content: bytes, **told: Any) -> Members:
    """With one member more, which the manifest names too."""
    import hashlib

    read = manifest(members)
    read["members"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} | told
    return members | {name: content, MANIFEST: json.dumps(read).encode()}


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "/tmp/outside.json",
        "store/crafted/../../../outside.json",
        "store\\crafted\\0123456789abcdef.json",
        "store/crafted/0123456789abcdef.json/",
        "store/crafted/0123456789abcdef.json\n",
        "store/crafted/0123456789abcdef.pt",
        "store/claims/0123456789abcdef.json",
        "runs/0123456789abcdef/examples.png",
        "runs/0123456789ABCDEF/record.json",
        "C:/0123456789abcdef.json",
    ],
)
def test_only_names_of_the_layout_are_unpacked(packed: Path, tmp_path: Path, name: str) -> None:
    trap = write(tmp_path / "trap.zip", with_member(members_of(packed), name, b"{}"))
    assert "which no record has; nothing is unpacked" in refusal(trap, tmp_path / "into")
    assert [path.name for path in tmp_path.iterdir()] == ["trap.zip"]


def test_bombs_are_refused_before_they_are_unpacked(packed: Path, tmp_path: Path) -> None:
    name, zeros = "store/crafted/0123456789abcdef.safetensors", bytes(20_000_000)
    bomb = write(tmp_path / "bomb.zip", with_member(members_of(packed), name, zeros))
    assert bomb.stat().st_size * archives.MOST_EXPANSION < len(zeros)
    assert "would unpack to 20," in refusal(bomb, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_the_total_size_has_a_limit(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    assert "and 1,000 bytes are taken" in refusal(packed, tmp_path / "into")


def test_a_member_that_is_larger_than_it_declares_is_refused(packed: Path, tmp_path: Path) -> None:
    name, content = "store/crafted/0123456789abcdef.safetensors", bytes(range(256)) * 4000
    path = write(tmp_path / "liar.zip", with_member(members_of(packed), name, content, bytes=100))
    raw = path.read_bytes()
    for marker, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):  # the size before packing, in both headers
        start = -1
        while (start := raw.find(marker, start + 1)) >= 0:
            if raw[start + offset : start + offset + 4] == struct.pack("<I", len(content)):
                raw = raw[: start + offset] + struct.pack("<I", 100) + raw[start + offset + 4 :]
    path.write_bytes(raw)
    refusal(path, tmp_path / "into")
    written = tmp_path / "into" / name
    assert not written.exists() or written.stat().st_size <= 100


def test_a_member_twice_or_packed_otherwise_is_refused(packed: Path, tmp_path: Path) -> None:
    members = members_of(packed)
    twice = write(tmp_path / "twice.zip", members)
    with ZipFile(twice, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr(list(members)[1], b"other")
    assert "does not hold the members" in refusal(twice, tmp_path / "a")
    other = write(tmp_path / "other.zip", members, ZIP_BZIP2)
    assert "packed in an unusual way" in refusal(other, tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda body: body.update(status="error"), "ended without numbers (error)"),
        (lambda body: body.update(stored={}), "does not name what its numbers follow from"),
        (lambda body: body["stored"].update(test=["0" * 16]), "is not in "),
    ],
)
def test_what_cannot_be_verified_is_not_packed(
    finished: Finished, tmp_path: Path, bench: Bench, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    record: Record = finished.records["pgd"]
    results = shutil.copytree(finished.results_dir, tmp_path / "results")
    change_record(results / "runs" / record.run_id, change)
    out = tmp_path / "run.zip"
    ended = bench("store", "export", record.run_id, "--results-dir", str(results), "--out", str(out))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert says in ended.err
    assert not out.exists()
