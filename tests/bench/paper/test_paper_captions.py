"""What stands below an artifact, and in which folder its files lie."""

import re
from functools import partial
from pathlib import Path

import pytest
from tables_made_up import artifact, entry

from bench.paper.contract import PaperRequest
from bench.paper.rendering.captions import caption_of, dataset_label, spec_hash
from bench.paper.rendering.files import folder_of, save_artifact

REQUEST = PaperRequest(
    dataset="digits",
    recipe="quick",
    seeds=(0, 1, 2),
    settings={"n_train": 300, "bandwidth": None},
    options={"dims": (2, 4), "grid": 5},
)
MADE = artifact(counted="n 100 images in set I", legend="bold differs", keys=("aa", "bb"))


def test_a_caption_says_what_the_numbers_follow_from() -> None:
    caption = caption_of(entry(), REQUEST, MADE, used={"bandwidth", "n_train"})
    parts = "Dataset digits; recipe quick; n train 300; bandwidth auto; dims 2, 4; grid 5; n 100 images in set I"
    assert caption == f"A title. {parts}; seeds 0 to 2; spec {spec_hash(REQUEST, MADE)}. bold differs."
    assert re.search(r"spec [0-9a-f]{16}\.", caption)


def test_a_caption_says_no_more_than_there_is() -> None:
    one_seed = PaperRequest(seeds=(0,))
    plain = artifact(keys=("aa",))
    hashed = spec_hash(one_seed, plain)
    assert (
        caption_of(entry(), one_seed, plain, used=())
        == f"A title. Dataset digits; recipe quick; seed 0; spec {hashed}."
    )
    alone = entry(families=frozenset(), has_seeds=False)
    assert caption_of(alone, one_seed, plain, used=()) == f"A title. Recipe quick; spec {hashed}."


def test_a_caption_is_silent_on_settings_that_went_nowhere() -> None:
    caption = caption_of(entry(), REQUEST, MADE, used={"bandwidth"})
    assert "; recipe quick; bandwidth auto; dims 2, 4; grid 5; n 100" in caption
    assert "300" not in caption


def test_the_hash_follows_the_runs_behind_the_numbers() -> None:
    assert spec_hash(REQUEST, MADE) == spec_hash(PaperRequest(), artifact(keys=("bb", "aa")))
    others = [("aa",), ("aa", "bc"), ("aa", "bb", "cc"), ("aabb",)]
    assert len({spec_hash(REQUEST, artifact(keys=keys)) for keys in [("aa", "bb"), *others]}) == 5


def test_without_runs_the_hash_follows_the_request() -> None:
    asked = [PaperRequest(), PaperRequest(recipe="paper"), PaperRequest(options={"grid": 5}), PaperRequest(seeds=(0,))]
    assert len({spec_hash(request, artifact()) for request in asked}) == 4


@pytest.mark.parametrize(
    ("dataset", "label", "folder"),
    [
        ("mnist", "mnist", "mnist"),
        ("folder:/data/cifar10-jpeg", "cifar10-jpeg", "cifar10-jpeg"),
        ("folder:/data/cifar10-jpeg/", "cifar10-jpeg", "cifar10-jpeg"),
        ("folder:rel/a:b", "a:b", "a-b"),
        ("folder:/data/my images (2)", "my images (2)", "my-images-2-"),
        ("folder:/", "folder", "folder"),
    ],
)
def test_datasets_by_name(dataset: str, label: str, folder: str) -> None:
    assert dataset_label(dataset) == label
    request = PaperRequest(dataset=dataset, recipe="paper")
    assert folder_of(entry(), request, Path("results")) == Path("results", "paper", folder, "paper")


@pytest.mark.parametrize("place", [".", "..", "../..", "below/.."])
def test_no_dataset_leads_out_of_the_results(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "one" / "two"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    name = (here / place).resolve().name
    request = PaperRequest(dataset=f"folder:{place}")
    assert folder_of(entry(), request, Path("results")) == Path("results", "paper", name, "quick")


def test_what_takes_no_dataset_has_a_folder_of_its_own() -> None:
    folder = folder_of(entry(families=frozenset()), PaperRequest(dataset="mnist"), Path("results"))
    assert folder == Path("results", "paper", "every-dataset", "quick")


def test_a_varied_recipe_has_a_folder_of_its_own_and_another_size_has_not() -> None:
    request = PaperRequest(settings={"n_test": 5, "bandwidth": None, "train_learning_rate": 0.003})
    folder = folder_of(entry(), request, Path("results"))
    assert folder == Path("results", "paper", "digits", "quick-train-learning-rate-0.003-bandwidth-auto")


def test_files_are_written_and_the_document_joins_them_in_order(tmp_path: Path) -> None:
    for name in ("table10", "table2", "kl", "theorem1", "figure3"):
        files = save_artifact(entry(name=name), REQUEST, MADE, caption="", command="bench", results_dir=tmp_path)
        assert [file.name for file in files] == [f"{name}.md", f"{name}.tex", f"{name}.csv"]
    folder = folder_of(entry(), REQUEST, tmp_path)
    document = (folder / "all.tex").read_text()
    assert re.findall(r"\\input\{(.*)\}", document) == [
        "figure3.tex",
        "kl.tex",
        "table2.tex",
        "table10.tex",
        "theorem1.tex",
    ]
    for kind in ("table", "figure"):
        numbers = re.findall(rf"\\renewcommand\{{\\the{kind}\}}\{{(\w+)\}}", document)
        assert numbers == ["3", "kl", "2", "10", "theorem1"]  # the paper's
    assert sorted(path.suffix for path in folder.iterdir()) == [".csv"] * 5 + [".md"] * 5 + [".tex"] * 6


def test_what_another_command_had_made_is_not_replaced_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    three, one = "bench paper table3 --seeds 3", "bench paper table3 --seeds 1"
    save = partial(save_artifact, entry(name="table3"), REQUEST, results_dir=tmp_path)
    save(MADE, caption="Three seeds.", command=three)
    save(MADE, caption="Three seeds, again.", command=three)
    assert caplog.messages == []
    save(MADE, caption="One seed.", command=one)
    path = folder_of(entry(), REQUEST, tmp_path) / "table3.md"
    assert caplog.messages == [f"{path} replaces what another command had made: {three}"]
    save(MADE, caption="One seed.", command=three)  # the same numbers
    assert len(caplog.messages) == 1
    path.write_text("Notes of somebody's own.\n")
    save(MADE, caption="Three seeds.", command=three)
    assert len(caplog.messages) == 1
