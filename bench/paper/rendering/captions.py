"""The sentence below an artifact: everything its numbers follow from."""

from collections.abc import Collection
from pathlib import Path

from bench.canonical import content_hash
from bench.paper.contract import ArtifactEntry, Made, PaperRequest
from bench.paper.options import spelled


def caption_of(entry: ArtifactEntry, request: PaperRequest, made: Made, *, used: Collection[str]) -> str:
    """What a reader must know: title, dataset, recipe, settings, n, seeds, spec hash, and how to read the signs.

    Args:
        entry: the artifact.
        request: what it was asked for.
        made: what came of it.
        used: names of the settings that went to a run of it; of others it says nothing.
    """
    settings = {name: value for name, value in request.settings.items() if name in used}
    parts = [f"dataset {dataset_label(request.dataset)}"] if entry.families else []
    parts += [f"recipe {request.recipe}"] + [
        f"{name.replace('_', ' ')} {spelled(value, between=', ')}"
        for name, value in {**settings, **request.options}.items()
    ]
    if made.counted:
        parts.append(made.counted)
    if entry.has_seeds:
        parts.append(_seeds(request.seeds))
    parts.append(f"spec {spec_hash(request, made)}")
    legend = f" {made.legend}." if made.legend else ""
    return f"{made.title}. {'; '.join(parts)[:1].upper()}{'; '.join(parts)[1:]}.{legend}"


def spec_hash(request: PaperRequest, made: Made) -> str:
    """A hash over the run hashes and store keys behind an artifact; over what was asked for where there are none."""
    return content_hash(sorted(made.keys) if made.keys else request)


def dataset_label(name: str) -> str:
    """A dataset in captions: a folder by its own name, "cifar10-jpeg", whatever folders it lies in."""
    kind, _, place = name.partition(":")
    if kind != "folder":
        return name
    path = Path(place)
    return (path if path.name not in ("", "..") else path.resolve()).name or kind


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
