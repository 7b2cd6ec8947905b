"""The options of artifacts: those of runs that they hand on, and their own, with how their text is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from attacks.errors import RequestError
from bench.command_line import AUTOMATIC
from bench.options import parse_value
from bench.paper.contract import PaperRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOption:
    """An option. parse: one value's text -> value, raising ValueError; what: in words; is_list: takes a comma list."""

    parse: Callable[[str], Any]
    what: str
    is_list: bool = False


# Options of runs that an artifact hands on to every run that takes them: how much, and what else than by default.
SIZES = ("n_train", "n_fit", "n_test", "epochs")
VARIATIONS = (
    "regularizer_weight",
    "head_rate",
    "train_learning_rate",
    "bandwidth",
    "density",
    "class_weight",
    "max_l2",
)
SETTINGS = SIZES + VARIATIONS
OWN_OPTIONS: dict[str, OwnOption] = {
    "dims": OwnOption(parse=int, what="whole numbers", is_list=True),
    "epsilons": OwnOption(parse=float, what="numbers", is_list=True),
    "train_epsilons": OwnOption(parse=float, what="numbers", is_list=True),
    "weights": OwnOption(parse=float, what="numbers", is_list=True),
    "defenses": OwnOption(parse=str, what="names", is_list=True),
    "grid": OwnOption(parse=int, what="a whole number"),
    "range": OwnOption(parse=float, what="a number"),
    "images": OwnOption(parse=int, what="a whole number"),
    "precision": OwnOption(parse=str, what="a name"),
    "samples": OwnOption(parse=int, what="a whole number"),
}


def read_request(*, dataset: str, recipe: str, seeds: int, given: Mapping[str, Any]) -> PaperRequest:
    """What is asked for, its options read as the command line reads them.

    Args:
        dataset: as `bench run --dataset` takes it.
        recipe: "quick" or "paper".
        seeds: how often everything is repeated.
        given: by name, texts or values; names that are no option of artifacts are left out.

    Raises:
        RequestError: a text is not of its option's kind.
    """
    texts = {name: spelled(value) for name, value in given.items()}
    return PaperRequest(
        dataset=dataset,
        recipe=recipe,
        seeds=tuple(range(seeds)),
        settings={name: parse_value(name, texts[name]) for name in SETTINGS if name in texts},
        options={name: parse_own(name, texts[name]) for name in OWN_OPTIONS if name in texts},
    )


def parse_own(name: str, text: str) -> Any:
    """Read an option's text: ("dims", "2,4") -> (2, 4).

    Raises:
        RequestError: the text is not of the option's kind, or lists a value twice.
    """
    option = OWN_OPTIONS[name]
    flag = f"--{name.replace('_', '-')}"
    parts = [part.strip() for part in text.split(",")] if option.is_list else [text]
    try:
        values = tuple(option.parse(part) for part in parts if part or not option.is_list)
        if not values or len(values) != len(parts):
            raise ValueError
    except ValueError:
        many = " with commas between" if option.is_list else ""
        raise RequestError(f"{flag} takes {option.what}{many}, got '{text}'") from None
    if len(set(values)) < len(values):
        raise RequestError(f"{flag} lists a value twice: '{text}'")
    return values if option.is_list else values[0]


def spelled(value: Any, *, between: str = ",") -> str:
    """A value as the command line takes it: (2, 4) -> "2,4", None -> "auto"; `between` parts the values of a list."""
    if isinstance(value, tuple | list):
        return between.join(map(str, value))
    return AUTOMATIC if value is None else str(value)
