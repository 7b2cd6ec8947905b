"""Every option of a run by name: how its text is read. One table for the command line and for files of options."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attacks.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option. name: with underscores; parse: one value's text -> value, raising ValueError; what: in words."""

    name: str
    parse: Callable[[str], Any]
    what: str


def _bandwidth(text: str) -> float | None:
    return None if text == "auto" else float(text)


_TEXT = (
    "dataset",
    "defense",
    "model",
    "weights",
    "attack",
    "backend",
    "precision",
    "train_attack",
    "target",
    "protocol",
    "recipe",
    "counted",
    "class_weight",
)
_TEXT_OPTIONS = ("threat", "prior", "regularizer", "encoder_init", "until", "noise", "density")
_WHOLE = ("n_train", "n_fit", "n_test", "seed", "image_size", "channels")
_WHOLE_OPTIONS = (
    "steps",
    "restarts",
    "search_steps",
    "queries",
    "targets",
    "embedding_dim",
    "epochs",
    "neighbors",
    "guides",
    "expectation",
)
_NUMBERS = ("noise_l2",)
_NUMBER_OPTIONS = (
    "epsilon",
    "step_size",
    "confidence",
    "max_l2",
    "learning_rate",
    "initial_c",
    "regularizer_weight",
    "train_epsilon",
    "train_learning_rate",
    "head_rate",
)
REQUEST_OPTIONS = frozenset(_TEXT + _WHOLE + _NUMBERS)

OPTIONS: dict[str, Option] = {
    option.name: option
    for option in (
        *(Option(name=name, parse=str, what="a name") for name in _TEXT + _TEXT_OPTIONS),
        *(Option(name=name, parse=int, what="a whole number") for name in _WHOLE + _WHOLE_OPTIONS),
        *(Option(name=name, parse=float, what="a number") for name in _NUMBERS + _NUMBER_OPTIONS),
        Option(name="bandwidth", parse=_bandwidth, what="a number or 'auto'"),
        Option(name="adversarial_training", parse=lambda text: text.lower() == "true", what="true or false"),
    )
}


def parse_value(name: str, text: str, *, given: str = "") -> Any:
    """Read one value: ("seed", "3") -> 3.

    Args:
        name: of the option.
        text: one value.
        given: all that was given, for the message, where it was more than the value.

    Raises:
        RequestError: the text is empty or not of the option's kind.
    """
    option = OPTIONS[name]
    try:
        if not text:
            raise ValueError
        return option.parse(text)
    except ValueError:
        shown = given or text
        raise RequestError(f"{_flag(name)} takes {option.what} or a comma list of them, got '{shown}'") from None


def parse_list(name: str, text: str) -> list[Any]:
    """Read a comma list: "er1,kd" -> ["er1", "kd"].

    Raises:
        RequestError: an element is empty, not of the option's kind, or listed twice.
    """
    values: list[Any] = []
    for part in text.split(","):
        value = parse_value(name, part.strip(), given=text)
        if value in values:
            raise RequestError(f"{_flag(name)} lists '{part.strip()}' twice")
        values.append(value)
    return values


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
