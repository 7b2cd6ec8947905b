"""From a request to an artifact's files: checked, put together, written."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attacks.errors import ErbenchError, RequestError, StorageError
from attacks.registration import unknown_name
from bench.datasets.registry import DATASETS
from bench.executors.driver import Crew
from bench.paper.ahead import Ahead
from bench.paper.contract import ArtifactEntry, Made, PaperRequest
from bench.paper.desk import Desk
from bench.paper.missing import MissingError, SeveralMissingError
from bench.paper.registry import ARTIFACTS
from bench.paper.rendering.captions import caption_of
from bench.paper.rendering.files import save_artifact
from bench.record import Record
from bench.request import CHOICES
from bench.sweep import Datasets, load
from bench.workspace import Workspace

ALL = "all"
log = logging.getLogger("erbench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """An artifact that was asked for. made, files: None and empty where `error` says why there is none."""

    entry: ArtifactEntry
    made: Made | None
    files: tuple[Path, ...] = ()
    error: ErbenchError | None = None


def make_artifacts(
    names: Sequence[str],
    request: PaperRequest,
    workspace: Workspace,
    *,
    crew: Crew | None = None,
    collects: bool = False,
) -> Iterator[Finished]:
    """Put artifacts together and write their files; each is yielded when it is done.

    Args:
        names: of artifacts, or "all", which stands for those that the dataset has.
        request: what they are asked for.
        workspace: where things are computed and kept.
        crew: who runs cells; this process when None.
        collects: compute nothing.

    Yields:
        One a name, in order. With one name an error is raised; with several it is yielded, and the others go on.

    Raises:
        RequestError: before anything has begun, when a name, the dataset, the recipe, the seeds, an option or a run do
            not fit; later, when the crew is lost.
        DataError: data are missing or damaged.
        StorageError: the results folder cannot be written to.
    """
    datasets: Datasets = {}
    entries = _entries(names, request, workspace, datasets)
    crew, ended = crew or Crew(), dict[str, Record]()
    desks = [
        Desk(
            artifact=entry.name,
            request=replace(request, options=_own(request.options, entry)),
            workspace=workspace,
            crew=crew,
            collects=collects,
            datasets=datasets,
            ended=ended,
        )
        for entry in entries
    ]
    pairs = list(zip(entries, desks, strict=True))
    with Ahead([] if collects else pairs, crew, workspace, ended) as ahead:
        for entry, desk in pairs:
            ahead.finish(entry.name)
            try:
                yield _finished(entry, desk)
            except StorageError:
                raise
            except ErbenchError as error:
                if len(entries) == 1:
                    raise
                yield Finished(entry=entry, made=None, error=error)
    used = {name for desk in desks for name in desk.used}  # by a run of any artifact
    for name in [name for name in request.settings if name not in used]:
        log.warning("--%s went to no run of %s", name.replace("_", "-"), " or ".join(entry.name for entry in entries))


def missing_of(finished: Sequence[Finished]) -> MissingError | SeveralMissingError | None:
    """What artifacts lack, said once; None when they lack nothing."""
    errors = {each.entry.name: each.error for each in finished if isinstance(each.error, MissingError)}
    if len(errors) > 1:
        return SeveralMissingError(errors)
    return next(iter(errors.values()), None)


def _own(options: Mapping[str, Any], entry: ArtifactEntry) -> dict[str, Any]:
    """Those of the artifacts' options that one takes."""
    return {name: value for name, value in options.items() if name in entry.options}


def _finished(entry: ArtifactEntry, desk: Desk) -> Finished:
    made = entry.make(desk)
    caption = caption_of(entry, desk.request, made, used=desk.used)
    results_dir = desk.workspace.results_dir
    files = save_artifact(entry, desk.request, made, caption=caption, command=desk.command, results_dir=results_dir)
    return Finished(entry=entry, made=made, files=tuple(files))


def _entries(
    names: Sequence[str], request: PaperRequest, workspace: Workspace, datasets: Datasets
) -> list[ArtifactEntry]:
    """The artifacts behind the names, everything checked that can be before anything is computed."""
    if request.recipe not in CHOICES["recipe"]:
        raise RequestError(unknown_name("recipe", request.recipe, list(CHOICES["recipe"])))
    if not request.seeds:
        raise RequestError("--seeds must be at least 1: how often everything is repeated")
    wants_all = ALL in names
    named = [_entry(name) for name in dict.fromkeys(names) if name != ALL]
    entries = list(ARTIFACTS) if wants_all else named
    DATASETS.get(request.dataset.partition(":")[0])  # also where no artifact takes one
    if any(entry.families for entry in entries):
        family = _family(request.dataset, workspace, datasets)
        if wants_all:
            entries = [entry for entry in entries if not entry.families or family in entry.families]
        for entry in entries:
            _check_family(entry, family, request.dataset)
    _check_options(request.options, entries)
    return entries


def _family(dataset: str, workspace: Workspace, datasets: Datasets) -> str:
    """Of a dataset's networks; only one whose images decide is loaded, lest gigabytes are downloaded for nothing."""
    known = "" if ":" in dataset else DATASETS.get(dataset).family
    return known or load(dataset, workspace, datasets).family


def _entry(name: str) -> ArtifactEntry:
    if name not in ARTIFACTS:
        raise RequestError(unknown_name("artifact", name, [*ARTIFACTS.names(), ALL]))
    return ARTIFACTS.get(name)


def _check_family(entry: ArtifactEntry, family: str, dataset: str) -> None:
    if entry.families and family not in entry.families:
        known = ", ".join(sorted(entry.families))
        whose = "" if family == dataset else f", whose networks are those of {family}"
        raise RequestError(f"{entry.name} is not defined for {dataset}{whose}; it is for: {known}")


def _check_options(options: Mapping[str, Any], entries: Sequence[ArtifactEntry]) -> None:
    taken = {name for entry in entries for name in entry.options}
    for name in options:
        if name not in taken:
            flag = f"--{name.replace('_', '-')}"
            named = " or ".join(entry.name for entry in entries)
            takers = ", ".join(entry.name for entry in ARTIFACTS if name in entry.options)
            raise RequestError(f"{flag} is not an option of {named}; it is an option of {takers}")
