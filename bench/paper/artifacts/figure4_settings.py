"""What Figure 4 is asked for, with every default filled in and every range checked."""

from dataclasses import dataclass

from attacks.checks import require_choice
from attacks.errors import RequestError
from bench.paper.desk import Desk
from bench.paper.studies.loss_surface import PRECISIONS
from bench.threats import THREATS
from defenses.contract import ClassifierEntry
from defenses.registry import DEFENSES

DEFENSES_COMPARED = ("er-classifier", "madry")
GRID, FEWEST, MOST = 51, 3, 501
IMAGES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is drawn.

    defenses: registered classifiers; grid: points a side; range: farthest step in pixel units; images: how many.
    precision: of `bench.paper.studies.loss_surface`.
    """

    defenses: tuple[str, ...]
    grid: int
    range: float
    images: int
    precision: str


def settings_of(desk: Desk) -> Settings:
    """Read the options of `desk`'s request; `RequestError` for one out of range, or a defense that is no classifier."""
    given = desk.request.options
    settings = Settings(
        defenses=tuple(given.get("defenses", DEFENSES_COMPARED)),
        grid=given.get("grid", GRID),
        range=given.get("range", THREATS[desk.dataset.family].epsilon),
        images=given.get("images", IMAGES),
        precision=given.get("precision", PRECISIONS[0]),
    )
    for name in settings.defenses:
        entry = DEFENSES.get(name)
        if not isinstance(entry, ClassifierEntry) or entry.build is None:
            classifiers = ", ".join(each.name for each in DEFENSES if isinstance(each, ClassifierEntry) and each.build)
            raise RequestError(f"'{name}' is no classifier that {desk.artifact} can train; these are: {classifiers}")
    if not FEWEST <= settings.grid <= MOST:
        raise RequestError(f"--grid must be between {FEWEST} and {MOST} points a side, got {settings.grid}")
    if not 0 < settings.range <= 1:
        raise RequestError(f"--range must lie in (0, 1], got {settings.range}: pixels span [0, 1]")
    if settings.images < 1:
        raise RequestError(f"--images must be at least 1, got {settings.images}")
    require_choice("precision", settings.precision, PRECISIONS)
    return settings
