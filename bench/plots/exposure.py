"""What a picture of detectors is drawn from: their runs, and the rows of set II that count."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.outcomes import select
from bench.record import Record
from bench.tables.detector_runs import DetectorRuns

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Detectors to be drawn.

    detectors: in order; attacks: by run, the attack's name.
    outcomes: by run, its rows (`bench.outcomes`), with the columns `probability` and `judged`.
    """

    detectors: tuple[DetectorRuns, ...]
    attacks: Mapping[str, str]
    outcomes: Mapping[str, pd.DataFrame]

    def probabilities(self, run: Record, kind: str) -> Floats:
        """(n,) probabilities of being adversarial, of the images of a kind that count in set II."""
        rows = select(self.outcomes[run.run_id], kind=kind)
        probabilities: Floats = rows.loc[rows["judged"], "probability"].to_numpy(dtype=np.float64)
        return probabilities
