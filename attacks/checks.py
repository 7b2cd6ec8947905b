"""Range checks of attack options, said in one way everywhere."""

import math

from attacks.errors import RequestError
from attacks.registration import unknown_name


def require_epsilon(epsilon: float) -> None:
    """Raise `RequestError` unless 0 < epsilon <= 1 (pixels span [0, 1])."""
    if not 0 < epsilon <= 1:
        raise RequestError(f"epsilon must lie in (0, 1], got {epsilon}: pixels span [0, 1]")


def require_positive(name: str, value: float) -> None:
    """Raise `RequestError` unless `value` is a finite number above zero."""
    if not (value > 0 and math.isfinite(value)):
        raise RequestError(f"{name.replace('_', '-')} must be a number above 0, got {value}")


def require_not_negative(name: str, value: float) -> None:
    """Raise `RequestError` unless `value` is a finite number, zero or above."""
    if not (value >= 0 and math.isfinite(value)):
        raise RequestError(f"{name.replace('_', '-')} must be a number of at least 0, got {value}")


def require_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise `RequestError` with near names unless `value` is one of `known`."""
    if value not in known:
        raise RequestError(unknown_name(name.replace("_", "-"), value, list(known)))
