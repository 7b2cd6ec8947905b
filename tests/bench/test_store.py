"""The store: what is read is what was written, or nothing at all and a warning."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from attacks.errors import DataError
from bench.storage.store import Store

SPEC = {"name": "er-classifier", "steps": (1, 2)}
TENSORS = {"weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(7), "mask": torch.tensor([True, False])}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def key(store: Store) -> str:
    key = store.key("classifiers", SPEC)
    store.save("classifiers", key, spec=SPEC, tensors=TENSORS, details={"history": [{"epoch": 1}]})
    return key


def tensors_path(store: Store, key: str) -> Path:
    return store.root / "classifiers" / f"{key}.safetensors"


def details_path(store: Store, key: str) -> Path:
    return store.root / "classifiers" / f"{key}.json"


def test_round_trip(store: Store, key: str) -> None:
    item = store.load("classifiers", key)
    assert item is not None
    assert item.details == {"history": [{"epoch": 1}]}
    assert item.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert item.tensors[name].dtype == tensor.dtype
        assert torch.equal(item.tensors[name], tensor)
    names = sorted(path.name for path in (store.root / "classifiers").iterdir())
    assert names == [f"{key}.json", f"{key}.safetensors"]  # no temporary file is left


def test_a_view_and_a_parameter_are_stored_by_value(store: Store) -> None:
    whole = torch.arange(12.0).view(3, 4)
    key = store.key("crafted", {})
    store.save("crafted", key, spec={}, tensors={"a": whole.T, "b": torch.nn.Parameter(whole[:, 1])}, details={})
    item = store.load("crafted", key)
    assert item is not None
    assert torch.equal(item.tensors["a"], whole.T)
    assert torch.equal(item.tensors["b"], whole[:, 1])


def test_absent_without_its_json(store: Store, key: str, caplog: pytest.LogCaptureFixture) -> None:
    details_path(store, key).unlink()
    assert store.load("classifiers", key) is None
    assert store.load("classifiers", "0" * 16) is None
    assert not caplog.records  # absent is no damage


@pytest.mark.parametrize("place", [0, 20, -1], ids=["length", "header", "numbers"])
def test_one_flipped_bit_is_noticed(store: Store, key: str, place: int, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(tensors_path(store, key).read_bytes())
    content[place] ^= 1
    tensors_path(store, key).write_bytes(content)
    assert store.load("classifiers", key) is None
    assert "do not match their checksum; it is not loaded but made again" in caplog.text


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


DAMAGES: dict[str, Callable[[Store, str], None]] = {
    "tensors cut short": lambda store, key: truncate(tensors_path(store, key)),
    "tensors missing": lambda store, key: tensors_path(store, key).unlink(),
    "tensors empty": lambda store, key: tensors_path(store, key).write_bytes(b""),
    "json cut short": lambda store, key: truncate(details_path(store, key)),
    "json empty": lambda store, key: details_path(store, key).write_text(""),
    "json is a list": lambda store, key: details_path(store, key).write_text("[1]"),
    "json is binary": lambda store, key: details_path(store, key).write_bytes(b"\xff\xfe\x00"),
    "json is another program's": lambda store, key: details_path(store, key).write_text('{"lr": 0.1}'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_reported_and_counts_as_absent(
    store: Store, key: str, damage: Callable[[Store, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(store, key)
    assert store.load("classifiers", key) is None
    assert "made again" in caplog.text
    assert key in caplog.text
    store.save("classifiers", key, spec=SPEC, tensors=TENSORS, details={})  # and can be
    assert store.load("classifiers", key) is not None


@pytest.mark.parametrize(("field", "value"), [("format", 0), ("format", 2), ("kind", "crafted"), ("sha256", "0" * 64)])
def test_other_formats_and_kinds_are_not_read(
    store: Store, key: str, field: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    envelope = json.loads(details_path(store, key).read_text())
    details_path(store, key).write_text(json.dumps(envelope | {field: value}))
    assert store.load("classifiers", key) is None
    assert "made again" in caplog.text


class Bomb:
    """Pickled, it says that it was loaded."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return pytest.fail, ("a pickle was loaded",)


def test_a_pickle_is_never_loaded_even_with_a_matching_checksum(
    store: Store, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    from bench.files import sha256_of

    tensors_path(store, key).write_bytes(pickle.dumps(Bomb()))
    envelope = json.loads(details_path(store, key).read_text())
    envelope["sha256"] = sha256_of(tensors_path(store, key))
    details_path(store, key).write_text(json.dumps(envelope))
    assert store.load("classifiers", key) is None
    assert "cannot be read" in caplog.text


def test_keys_follow_kind_and_spec(store: Store) -> None:
    assert store.key("classifiers", SPEC) == store.key("classifiers", {"steps": [1, 2], "name": "er-classifier"})
    keys = {store.key("classifiers", SPEC), store.key("crafted", SPEC), store.key("classifiers", SPEC | {"seed": 1})}
    assert len(keys) == 3


def test_a_place_that_cannot_be_written_to_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write to .*Choose another folder with --results-dir"):
        Store(tmp_path / "file" / "store").save("crafted", "k", spec={}, tensors=TENSORS, details={})


def test_an_item_under_another_key_or_with_changed_details_is_not_loaded(
    store: Store, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    envelope = json.loads(details_path(store, key).read_text())
    other = store.key("classifiers", {"spec": "of something else"})
    details_path(store, other).write_text(json.dumps(envelope))
    assert store.load("classifiers", other) is None
    assert "another spec" in caplog.text
    envelope["details"] = {"history": [{"accuracy": 1.0}]}
    details_path(store, key).write_text(json.dumps(envelope))
    assert store.load("classifiers", key) is None
    assert "does not match its checksum" in caplog.text
