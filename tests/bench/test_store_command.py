"""`bench store`: what is listed, measured and removed. Sizes and counts are those of the files themselves."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import Ended, Finished
from tampering import change_record

from attacks.errors import RequestError
from bench.storage.contents import NOT_ITEMS, chosen, parse_age, read_contents
from bench.storage.needs import needed_items
from bench.storage.store import Store

Bench = Callable[..., Ended]


@pytest.fixture
def results(finished: Finished, tmp_path: Path) -> Path:
    shutil.copytree(finished.results_dir, tmp_path / "results")
    return tmp_path / "results"


def make_old(path: Path, seconds: float) -> Path:
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def stored(results: Path) -> set[str]:
    return {f"{path.parent.name}/{path.stem}" for path in (results / "store").glob("*/*.safetensors")}


def test_ls_says_what_each_thing_is_and_who_needs_it(finished: Finished, results: Path, bench: Bench) -> None:
    ended = bench("store", "ls", "--results-dir", str(results))
    assert ended.code == 0, ended.err
    lines = {line.split()[1]: line for line in ended.out.splitlines()[1:]}
    assert len(lines) == len(stored(results))
    er1, kd = finished.records["er1"].stored, finished.records["kd"].stored
    assert lines[er1["unregularized"]].endswith("        1  e-cla on digits, seed 0")
    assert lines[kd["classifier"]].endswith("        4  standard on digits, seed 0")  # kd, lid, fgsm, pgd
    assert lines[er1["detector"]].endswith("        1  er1 of er-classifier on digits, seed 0")
    assert lines[er1["test"][0]].endswith("        1  cw κ=2, 20 images, of er-classifier on digits, seed 0")
    assert lines[kd["test"][0]].startswith("crafted ")
    one = bench("store", "ls", "--kind", "detectors", "--results-dir", str(results))
    assert [line.split()[0] for line in one.out.splitlines()[1:]] == ["detectors"] * 3
    assert "did you mean 'crafted'" in bench("store", "ls", "--kind", "craftd").err


def test_size_counts_bytes_by_kind_and_leftovers_apart(results: Path, bench: Bench) -> None:
    store = results / "store"
    contents = read_contents(results)
    total = sum(path.stat().st_size for path in store.glob("*/*") if path.parent.name not in NOT_ITEMS)
    assert sum(item.bytes for item in contents.items) == total
    (store / "crafted" / ".young.json.x1").write_bytes(b"1")
    for name, content in ((".old.json.x2", b"12"), ("fedcba9876543210.safetensors", b"123")):
        (store / "crafted" / name).write_bytes(content)
        make_old(store / "crafted" / name, 7200)
    contents = read_contents(results)
    assert sorted(leftover.bytes for leftover in contents.leftovers) == [2, 3]
    lines = bench("store", "size", "--results-dir", str(results)).out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["classifiers", "crafted", "detectors", "logits"]
    assert lines[4].startswith("in total")
    assert lines[5].split() == ["left", "over", "2", "5", "B"]


def test_prune_removes_what_no_record_needs(finished: Finished, results: Path, bench: Bench) -> None:
    before = stored(results)
    er1 = finished.records["er1"]
    shutil.rmtree(results / "runs" / er1.run_id)
    own = {f"{kind}/{key}" for kind, key in needed_items(er1.stored)}
    (predictions,) = [
        item.key for item in read_contents(results).items if item.kind == "logits" and "er-classifier" in item.what
    ]
    own.add(f"logits/{predictions}")
    arguments = ("store", "prune", "--unused", "--results-dir", str(results))
    asked = bench(*arguments)
    assert asked.code == 2
    assert f"this would remove {len(own)} stored things and 0 leftover files, " in asked.err
    assert "say --yes to do it" in asked.err
    assert "would remove" in bench(*arguments, "--dry-run").out
    assert stored(results) == before
    done = bench(*arguments, "--yes")
    assert (done.code, stored(results)) == (0, before - own)
    assert done.out.startswith(f"removed {len(own)} stored things and 0 leftover files; 5.")
    assert bench(*arguments, "--yes").out == "nothing to remove\n"
    assert bench("verify", "--results-dir", str(results)).code == 0


def test_a_damaged_or_newer_record_keeps_what_it_needs(finished: Finished, results: Path) -> None:
    folder = results / "runs" / finished.records["er1"].run_id
    change_record(folder, lambda body: body.update(schema=99))
    assert chosen(read_contents(results).items, older_than=None, unused=True) == []
    path = folder / "record.json"
    path.write_text(path.read_text().replace('"done"', '"d0ne"'))
    assert chosen(read_contents(results).items, older_than=None, unused=True) == []


def test_prune_by_age(finished: Finished, results: Path, bench: Bench) -> None:
    key = finished.records["pgd"].stored["test"][0]
    for path in (results / "store" / "crafted").glob(f"{key}.*"):
        make_old(path, 3 * 86400)
    arguments = ("store", "prune", "--older-than", "2d", "--results-dir", str(results))
    assert bench(*arguments, "--unused", "--yes").out == "nothing to remove\n"
    told = bench(*arguments, "--dry-run").out
    assert "would remove 1 stored things" in told
    assert "records need 1 of them and cannot be verified without" in told
    before = stored(results)
    assert bench(*arguments, "--yes").code == 0
    assert before - stored(results) == {f"crafted/{key}"}


def test_prune_leftovers(results: Path, bench: Bench) -> None:
    before = stored(results)
    (run, *_) = (results / "runs").iterdir()
    old = [results / "store" / "crafted" / ".a.json.x", run / ".record.json.y"]
    for path in old:
        path.write_text("half")
        make_old(path, 7200)
    young = results / "store" / "crafted" / ".b.json.z"
    young.write_text("half")
    done = bench("store", "prune", "--leftovers", "--yes", "--results-dir", str(results))
    assert done.out == "removed 0 stored things and 2 leftover files; 8 B freed\n"
    assert [path.exists() for path in (*old, young)] == [False, False, True]
    assert stored(results) == before


def test_prune_asks_on_a_terminal(results: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(results / "runs")
    before = stored(results)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", print)
    refused = bench("store", "prune", "--unused", "--results-dir", str(results))
    assert refused.out.startswith("remove ")
    assert refused.out.endswith("nothing is removed\n")
    assert stored(results) == before
    monkeypatch.setattr("typer.confirm", lambda _question: True)
    assert bench("store", "prune", "--unused", "--results-dir", str(results)).code == 0
    assert stored(results) == set()


def test_nothing_is_removed_while_something_runs(results: Path, bench: Bench) -> None:
    shutil.rmtree(results / "runs")
    before = stored(results)
    with Store(results / "store").claims.held("run-0123456789abcdef"):
        refused = bench("store", "prune", "--unused", "--yes", "--results-dir", str(results))
    assert refused.code == 2
    assert f"process {os.getpid()} on " in refused.err
    assert "works on run-0123456789abcdef" in refused.err
    assert stored(results) == before


def test_a_read_only_store_is_one_line(results: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    shutil.rmtree(results / "runs")
    monkeypatch.setattr(Path, "unlink", read_only)
    ended = bench("store", "prune", "--unused", "--yes", "--results-dir", str(results))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "Read-only file system" in ended.err


@pytest.mark.parametrize("command", ["ls", "size"])
def test_an_empty_or_missing_folder_has_nothing(tmp_path: Path, bench: Bench, command: str) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        ended = bench("store", command, "--results-dir", str(folder))
        assert (ended.code, ended.out) == (0, f"nothing is stored under {folder / 'store'}\n")
    assert bench("store", "prune", "--unused", "--results-dir", str(tmp_path / "missing")).out == "nothing to remove\n"
    assert "say what to remove" in bench("store", "prune", "--results-dir", str(tmp_path)).err
    assert list(tmp_path.iterdir()) == []


def test_ages() -> None:
    assert [parse_age(text) for text in ("30d", "2h", "1.5m", "1w", "5s")] == [2_592_000, 7200, 90, 604_800, 5]
    for text in ("30", "d", "-1d", "1y", ""):
        with pytest.raises(RequestError, match="takes a number and s, m, h, d or w"):
            parse_age(text)
