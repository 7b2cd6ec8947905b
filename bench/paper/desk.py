"""The desk an artifact is put together at: it gives records, classifiers and studies, computed or only collected."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from attacks.errors import NotConvergedError, RequestError
from attacks.registry import ATTACKS
from bench.cell import Cell, cell_names
from bench.code_version import code_version
from bench.command_line import command_line
from bench.datasets.contract import Dataset
from bench.executors.driver import Crew, swept_by
from bench.fitting import FittedClassifier, fit_classifier, is_fitted
from bench.grid import as_request, taken_options
from bench.paper.contract import PaperRequest, Wanted
from bench.paper.failures import reason_of
from bench.paper.missing import Missing, MissingError
from bench.paper.options import spelled
from bench.pipeline import known_record
from bench.record import Record
from bench.request import Request
from bench.storage.store import Item
from bench.sweep import Datasets, in_order, load, plan_requests
from bench.workspace import Workspace

STUDIES = "studies"  # kind in the store


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where one artifact is put together.

    artifact: its name; request: what it is asked for.
    workspace: where things are computed and kept; crew: who runs cells.
    collects: compute nothing; what is missing raises `MissingError`.
    datasets: loaded so far, shared between desks.
    used: names of the settings that went to a run so far.
    ended: records that this command has made or found so far, by run id; shared between desks.
    """

    artifact: str
    request: PaperRequest
    workspace: Workspace
    crew: Crew = field(default_factory=Crew)
    collects: bool = False
    datasets: Datasets = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    ended: dict[str, Record] = field(default_factory=dict)

    @property
    def dataset(self) -> Dataset:
        """The dataset that the artifact is asked of."""
        return load(self.request.dataset, self.workspace, self.datasets)

    @property
    def command(self) -> str:
        """The command that makes this artifact."""
        request = self.request
        words = ["bench", "paper", self.artifact, "--dataset", request.dataset, "--recipe", request.recipe]
        words += ["--seeds", str(len(request.seeds))]
        for name, value in {**request.settings, **request.options}.items():
            words += [f"--{name.replace('_', '-')}", spelled(value)]
        return shlex.join(words)

    def cells(self, wanted: Sequence[Wanted]) -> list[Cell]:
        """Cells, planned and not run; arguments and errors as `records`, but for what is found by running."""
        return plan_requests([self._request(options) for options in wanted], self.workspace, self.datasets)

    def records(self, wanted: Sequence[Wanted]) -> list[Record]:
        """The records of cells, in their order; one that gave no numbers is among them, with its status.

        Args:
            wanted: a cell each, by option name with underscores: `defense`, `attack`, and what sets the cell apart.
                Dataset, recipe and settings are the request's; a setting goes to the cells that take it.

        Raises:
            MissingError: something is missing and only to be collected.
            RequestError: a cell cannot be had on this dataset.
            NotConvergedError: no cell gave numbers.
        """
        cells = self.cells(wanted)
        if self.collects:
            records = self._collected(cells)
        elif all(cell.run_id in self.ended for cell in cells):
            records = [self.ended[cell.run_id] for cell in cells]
        else:
            records = in_order(cells, swept_by(self.crew, cells, self.workspace, keep_errors=True))
        if records and all(record.status != "done" for record in records):
            reason = reason_of(records[0])
            raise NotConvergedError(f"none of the {len(records)} runs of {self.artifact} gave numbers: {reason}")
        return records

    def over_seeds(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Cells with every seed of the request, those of one cell behind each other."""
        return [{**options, "seed": seed} for options in wanted for seed in self.request.seeds]

    def repeated(self, wanted: Sequence[Wanted]) -> list[tuple[Record, ...]]:
        """The records of `over_seeds(wanted)`: one tuple a cell, one record a seed; as `records`."""
        records, seeds = self.records(self.over_seeds(wanted)), len(self.request.seeds)
        return [tuple(records[start : start + seeds]) for start in range(0, len(records), seeds)]

    def classifier(self, defense: str, seed: int, **options: Any) -> FittedClassifier:
        """One classifier; as `classifiers`."""
        return self.classifiers([defense], seed, **options)[0]

    def classifiers(self, defenses: Sequence[str], seed: int, **options: Any) -> list[FittedClassifier]:
        """Fitted classifiers, trained now unless they are stored.

        Args:
            defenses: registered classifiers.
            seed: of their training.
            **options: of their training, beyond the request's settings.

        Raises:
            MissingError: some are missing and only to be collected.
            NotConvergedError: a training ends without a usable model.
        """
        cells = [self._trained_in(defense, seed, options) for defense in defenses]
        if self.collects:
            absent = [
                defense
                for defense, cell in zip(defenses, cells, strict=True)
                if not is_fitted(cell.spec.classifier, cell.dataset, self.workspace)
            ]
            if absent:
                raise self._lacking(*(f"{defense}, seed {seed}" for defense in absent))
        return [fit_classifier(cell.spec.classifier, cell.dataset, self.workspace) for cell in cells]

    def _trained_in(self, defense: str, seed: int, options: Mapping[str, Any]) -> Cell:
        """A cell that trains a classifier.

        Raises:
            RequestError: it is a detector's.
        """
        request = self._request({"defense": defense, "attack": "fgsm", "seed": seed, **options})
        (cell,) = plan_requests([request], self.workspace, self.datasets)
        if cell.spec.detector is not None:
            raise RequestError(f"'{defense}' is a detector; {self.artifact} looks at classifiers")
        return cell

    def study(
        self,
        kind: str,
        identity: Mapping[str, Any],
        code: Callable[..., Any],
        compute: Callable[[], tuple[dict[str, Tensor], dict[str, Any]]],
    ) -> Item:
        """Something computed that is no run, from the store when it was computed before.

        Args:
            kind: of study, a few words with dashes.
            identity: everything its numbers follow from, as JSON takes it.
            code: the function behind it; edits of its module, and of what that imports, make the study anew.
            compute: () -> (tensors by name, other numbers by name).

        Raises:
            MissingError: it is missing and only to be collected.
        """
        store = self.workspace.store
        spec = {"study": kind, "identity": dict(identity), "code": code_version(code)}
        key = store.key(STUDIES, spec)
        if self.collects and not store.holds(STUDIES, key):
            raise self._lacking(kind)

        def make() -> Item:
            tensors, details = compute()
            return store.save(STUDIES, key, spec=spec, tensors=tensors, details=details)

        return store.once(STUDIES, key, make)

    def study_key(self, item: Item) -> str:
        """The key that a study has in the store."""
        return self.workspace.store.key(STUDIES, item.spec)

    def _request(self, options: Mapping[str, Any]) -> Request:
        whole = {"dataset": self.request.dataset, "recipe": self.request.recipe} | dict(options)
        defense, attack = str(whole["defense"]), str(whole["attack"])
        ATTACKS.get(attack)
        taken = taken_options(defense, attack)
        settings = {name: value for name, value in self.request.settings.items() if name in taken}
        self.used.update(settings)
        return as_request(settings | whole)

    def _collected(self, cells: Sequence[Cell]) -> list[Record]:
        names, found, missing = cell_names(cells), [], []
        for cell in cells:
            record = known_record(cell, self.workspace)
            if record is not None and record.status != "error":
                found.append(record)
            else:
                command = self._typed(command_line(cell.request))
                missing.append(Missing(what=names[cell.run_id], command=command))
        if missing:
            raise MissingError(missing, of=len(cells), command=self._typed(self.command))
        return found

    def _lacking(self, *what: str) -> MissingError:
        """What to raise where things are missing that only the artifact's own command makes."""
        command = self._typed(self.command)
        return MissingError([Missing(what=each, command=command) for each in what], command=command)

    def _typed(self, command: str) -> str:
        """A command as it must be typed to work in our folders, where they are not the default ones."""
        default, words = Workspace(), [command]
        for name in ("results_dir", "data_dir"):
            if (folder := getattr(self.workspace, name)) != getattr(default, name):
                words += [f"--{name.replace('_', '-')}", shlex.quote(str(folder))]
        return " ".join(words)
