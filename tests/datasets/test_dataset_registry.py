"""The table of datasets and the options that each name takes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from attacks.errors import DataError, RequestError
from bench.datasets.contract import LoadRequest
from bench.datasets.digits import DIGITS
from bench.datasets.registry import DATASETS, load_dataset
from defenses.networks.registry import FAMILIES

REQUEST = LoadRequest(data_dir=Path("nowhere"))


def test_every_dataset_is_listed_digits_first() -> None:
    own = ["digits", "mnist", "fashion-mnist", "cifar10", "stl10", "tiny-imagenet", "folder"]
    assert DATASETS.names()[: len(own)] == own
    for entry in DATASETS:
        assert entry.summary
        assert "\n" not in entry.summary
        assert entry.source
    assert {entry.name for entry in DATASETS if entry.megabytes == 0} == {"digits", "folder"}


@pytest.mark.parametrize(
    ("name", "near"),
    [("mnst", "mnist"), ("cifar-10", "cifar10"), ("MNIST", "mnist"), ("folders:x", "folder")],
)
def test_an_unknown_name_gets_the_nearest_one(name: str, near: str) -> None:
    with pytest.raises(RequestError, match=f"unknown dataset '.*'; did you mean '{near}'"):
        load_dataset(name, REQUEST)


def test_the_networks_of_a_dataset_are_known_before_it_is_loaded() -> None:
    unknown = [entry.name for entry in DATASETS if entry.family not in FAMILIES.names()]
    assert unknown == ["folder"]
    assert load_dataset("digits", REQUEST).family == DATASETS.get("digits").family


@pytest.mark.parametrize("name", ["folder", "folder:"])
def test_folder_needs_a_path(name: str) -> None:
    with pytest.raises(RequestError, match="write folder:PATH"):
        load_dataset(name, REQUEST)


def test_only_folder_takes_a_path() -> None:
    with pytest.raises(RequestError, match=r"only folder takes a path.*write 'mnist'"):
        load_dataset("mnist:somewhere", REQUEST)


@pytest.mark.parametrize("options", [{"image_size": 32}, {"channels": 3}])
def test_conversions_belong_to_folders(options: dict[str, int]) -> None:
    with pytest.raises(RequestError, match="--image-size and --channels convert folder:PATH only, not 'digits'"):
        load_dataset("digits", replace(REQUEST, **options))


def test_a_path_may_hold_colons(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*a:b"):
        load_dataset(f"folder:{tmp_path}/a:b", REQUEST)


def test_a_file_that_may_not_be_read_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_request: LoadRequest) -> None:
        raise PermissionError(13, "Permission denied", "/data/file")

    monkeypatch.setitem(DATASETS._entries, "digits", replace(DIGITS, load=refuse))
    with pytest.raises(DataError, match=r"cannot load dataset 'digits': .*Permission denied: '/data/file'"):
        load_dataset("digits", REQUEST)


def test_the_table_is_there_before_torchvision_and_scikit_learn() -> None:
    program = "import sys, bench.datasets.registry;print(*{'torchvision', 'sklearn', 'PIL'}.intersection(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
