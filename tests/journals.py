"""A training's journal that keeps what it is told in memory, and can end the training as a kill would."""

import copy

from defenses.training.contract import EpochSummary
from defenses.training.state import State


class StoppedError(Exception):
    """Raised by `MemoryJournal`."""


class MemoryJournal:
    """Keeps what it is told: `summaries`, how many of their epochs were `taken` from before, and the last `state`.

    stop_after: raise `StoppedError` once this epoch is kept; 0 for never.
    """

    def __init__(self, *, stop_after: int = 0) -> None:
        self.stop_after = stop_after
        self.summaries: list[EpochSummary] = []
        self.taken = 0
        self.state: State | None = None

    def resume(self) -> State | None:
        return self.state

    def epoch_done(self, summary: EpochSummary, state: State | None) -> None:
        self.summaries.append(summary)
        if state is None:
            self.taken += 1
            return
        self.state = copy.deepcopy(state)
        if summary.epoch == self.stop_after:
            raise StoppedError
