"""From a command's parameters to what the rest of the project takes: listed values, and a workspace."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.workspace import Workspace


def listed_values(params: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The options of a run among a command's parameters, by name, each as a list of what was asked for.

    Raises:
        RequestError: a value cannot be read, or --full and --until are both given.
    """
    from attacks.errors import RequestError
    from bench.options import OPTIONS, parse_list

    given = dict(params)
    if given.get("full"):
        if given.get("until") is not None:
            raise RequestError("--full means --until end; give one of them")
        _require_choice_of_end(given.get("attack"))
        given["until"] = "end"
    return {
        name: [True] if value is True else parse_list(name, value)  # a flag has no list
        for name, value in given.items()
        if name in OPTIONS and value not in (None, False)
    }


def _require_choice_of_end(attacks: str | None) -> None:
    """Raise `RequestError` for --full with attacks that all take every step anyway."""
    from attacks.errors import RequestError
    from attacks.registry import ATTACKS
    from bench.options import parse_list
    from bench.request import config_names

    named = parse_list("attack", attacks) if attacks else []
    if named and not any("until" in config_names(ATTACKS.get(name).config) for name in named):
        raise RequestError(f"--full is not an option of {' or '.join(named)}, which never stops early; leave it out")


def workspace_of(params: Mapping[str, Any]) -> "Workspace":
    """Where to work, from the options of the panel "Where and how"."""
    from bench.cli.progress_display import choose_progress
    from bench.workspace import Workspace, choose_batch_size, choose_device

    device = choose_device(params["device"])
    return Workspace(
        results_dir=params["results_dir"],
        data_dir=params["data_dir"],
        download=params["download"],
        device=device,
        progress=choose_progress(quiet=params["quiet"]),
        batch_size=choose_batch_size(params["batch_size"], device),
        traced=params.get("trace", False),
    )
