"""Which runs the settings of `bench paper` reach, and what of several artifacts is computed once."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from small_paper import SETTINGS, SmallPaper
from small_runs import Ended

from bench.paper.contract import PaperRequest
from bench.paper.desk import Desk
from bench.record import load_records
from bench.workspace import Workspace

Bench = Callable[..., Ended]
ASKED = {
    "n-train": "400",
    "n-fit": "7",
    "n-test": "6",
    "epochs": "2",
    "head-rate": "0.1",
    "bandwidth": "0.5",
    "density": "linear",
    "class-weight": "balanced",
    "max-l2": "3.0",
}
ALWAYS = {"n-train", "n-test", "epochs"}
DETECTORS = ALWAYS | {"n-fit", "class-weight"}
DENSITIES = {"bandwidth", "density"}


def handed_on(ended: Ended) -> dict[str, list[set[str]]]:
    """By defense, which of `ASKED` each missing run's command has; every value as it was asked for."""
    found: dict[str, list[set[str]]] = {}
    for command in re.findall(r"^  \S.*?  +bench run (.*)$", ended.err, flags=re.MULTILINE):
        flags = dict(re.findall(r"--(\S+) (\S+)", command))
        assert {name: flags[name] for name in ASKED.keys() & flags} == {
            name: ASKED[name] for name in ASKED.keys() & flags
        }
        found.setdefault(flags["defense"], []).append(ASKED.keys() & flags)
    return found


def words_of(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        (
            "table3",  # C&W, so with an L2 limit
            {
                "kd": DETECTORS | DENSITIES | {"max-l2"},
                "lid": DETECTORS | {"max-l2"},
                "er1": DETECTORS | DENSITIES | {"max-l2", "head-rate"},
                "er2": DETECTORS | DENSITIES | {"max-l2", "head-rate"},
            },
        ),
        ("figure2", {"standard": ALWAYS, "madry": ALWAYS}),
        ("figure3", {"er-classifier": ALWAYS | {"head-rate"}}),
    ],
)
def test_a_setting_reaches_the_runs_that_take_it_and_no_other(
    bench: Bench, tmp_path: Path, artifact: str, expected: dict[str, set[str]]
) -> None:
    place = ("--results-dir", str(tmp_path / "results"))
    found = handed_on(bench("paper", artifact, "--seeds", "1", "--collect", *words_of(ASKED), *place))
    assert {defense: {frozenset(flags) for flags in each} for defense, each in found.items()} == {
        defense: {frozenset(flags)} for defense, flags in expected.items()
    }


def test_an_artifacts_own_choice_stands_above_a_setting(bench: Bench, tmp_path: Path) -> None:
    asked = ("paper", "kl", "--seeds", "1", "--weights", "0.5", "--regularizer-weight", "9", "--collect")
    ended = bench(*asked, "--results-dir", str(tmp_path / "results"))
    weights = re.findall(r"--defense (\S+) .*--regularizer-weight (\S+)", ended.err)
    assert sorted(weights) == [("er-classifier", "0.5"), ("er-classifier", "9.0")]  # KL, and the discriminator


def test_the_sizes_reach_everything_that_is_computed(small_paper: SmallPaper) -> None:
    records = load_records(small_paper.results_dir)
    assert len(records) > 40
    for record in records:
        spec = record.spec
        assert (spec["n_test"], spec["seed"]) == (SETTINGS["n-test"], 0)
        assert spec["detector"] is None or spec["detector"]["n_fit"] == SETTINGS["n-fit"]
        assert spec["classifier"]["n_train"] == SETTINGS["n-train"]
        assert spec["classifier"]["config"]["learning_rate"] == SETTINGS["train-learning-rate"]
    stored = [
        json.loads(path.read_text())["spec"]["spec"]
        for path in small_paper.results_dir.glob("store/classifiers/*.json")
    ]
    assert len(stored) > 5  # also those that no run is of: of loss surfaces, embeddings and Theorem 1
    assert {(spec["n_train"], spec["config"]["epochs"]) for spec in stored} == {
        (SETTINGS["n-train"], SETTINGS["epochs"])
    }


def test_a_setting_that_no_run_takes_is_told(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture, computed: Path
) -> None:
    settings = ("--epochs", "3", "--n-fit", "5")
    assert bench("paper", "table1", *settings, "--results-dir", str(tmp_path / "results")).code == 0
    assert caplog.messages == ["--n-fit went to no run of table1", "--epochs went to no run of table1"]
    caplog.clear()
    sizes = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]
    asked = ("paper", "figure3", "--seeds", "1", "--epsilons", "0.02", *sizes, "--results-dir", str(computed))
    assert bench(*asked, "--quiet").code == 0
    assert caplog.messages == ["--n-fit went to no run of figure3"]  # of classifiers alone


def test_a_command_says_all_that_was_asked_for() -> None:
    request = PaperRequest(
        dataset="folder:my images",
        seeds=(0, 1),
        settings={"n_train": 300, "bandwidth": None},
        options={"dims": (2, 4), "epsilons": (0.1,)},
    )
    command = Desk(artifact="figure1", request=request, workspace=Workspace()).command
    assert command == (
        "bench paper figure1 --dataset 'folder:my images' --recipe quick --seeds 2 --n-train 300 --bandwidth auto "
        "--dims 2,4 --epsilons 0.1"
    )


def written(results_dir: Path) -> dict[str, tuple[int, str]]:
    """When each record was written, by the file and by itself."""
    paths = {
        record.run_id: results_dir / "runs" / record.run_id / "record.json" for record in load_records(results_dir)
    }
    created = {record.run_id: record.provenance["created"] for record in load_records(results_dir)}
    return {run_id: (path.stat().st_mtime_ns, created[run_id]) for run_id, path in paths.items()}


def test_what_two_artifacts_share_is_computed_once(bench: Bench, computed: Path) -> None:
    sizes = [word for name, value in SETTINGS.items() if name != "n-fit" for word in (f"--{name}", str(value))]
    common = ("--epsilons", "0.02", *sizes, "--results-dir", str(computed), "--quiet")
    assert bench("paper", "figure1", "--seeds", "2", "--dims", "4", *common).code == 0
    first = written(computed)
    assert len(first) == 2  # a seed each
    assert bench("paper", "figure3", "--seeds", "1", *common).code == 0
    both = written(computed)
    assert {run_id: both[run_id] for run_id in first} == first
    assert len(both) == 2 + 2  # the digits' embedding has 4 dimensions: of three priors the Gaussian one is there
    assert bench("paper", "figure3", "figure1", "--seeds", "1", "--dims", "4", *common).code == 0
    assert written(computed) == both
