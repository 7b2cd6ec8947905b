"""Every artifact of the paper that the digits have, made once by the command line at its smallest sizes."""

from pathlib import Path
from typing import NamedTuple

from small_runs import Ended

from bench.paper.contract import ArtifactEntry
from bench.paper.registry import ARTIFACTS

DATASET = "digits"
ENTRIES = [entry for entry in ARTIFACTS if not entry.families or DATASET in entry.families]
NAMES = [entry.name for entry in ENTRIES]
SETTINGS = {"n-train": 300, "n-fit": 5, "n-test": 5, "epochs": 3, "train-learning-rate": 0.003}
OPTIONS = {
    "dims": "4,7",
    "epsilons": "0.02,0.1",
    "train_epsilons": "0.1",
    "weights": "0.1",
    "defenses": "er-classifier,standard",
    "grid": "3",
    "images": "2",
    "samples": "50",
}


class SmallPaper(NamedTuple):
    """What `bench paper all` left. results_dir: with `paper/`, `runs/` and `store/` below; ended: how it ended."""

    results_dir: Path
    ended: Ended

    def folder(self, entry: ArtifactEntry) -> Path:
        """Where an artifact's files are."""
        (folder,) = (self.results_dir / "paper" / (DATASET if entry.families else "every-dataset")).iterdir()
        return folder

    def file(self, entry: ArtifactEntry, ending: str) -> Path:
        """One of an artifact's files."""
        return self.folder(entry) / f"{entry.name}.{ending}"

    def is_figure(self, entry: ArtifactEntry) -> bool:
        """Whether its LaTeX says so."""
        return "\\begin{figure}" in self.file(entry, "tex").read_text(encoding="utf-8")


def arguments(results_dir: Path) -> list[str]:
    """What makes them all; own options are those that some registered artifact takes."""
    taken = {name for entry in ENTRIES for name in entry.options}
    given = SETTINGS | {name.replace("_", "-"): value for name, value in OPTIONS.items() if name in taken}
    words = ["paper", "all", "--dataset", DATASET, "--seeds", "1", "--results-dir", str(results_dir)]
    return words + [word for name, value in given.items() for word in (f"--{name}", str(value))]
