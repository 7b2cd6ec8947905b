"""Loss and margin of the test attack at every step, one row an image and step: `trace.parquet` beside a record."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attacks.probe import Trace
from bench.files import write_atomically

TRACE = "trace.parquet"


def trace_table(trace: Trace, sample_ids: Tensor) -> pd.DataFrame:
    """Columns `sample_id`, `step` (int), `part` (text), `loss`, `margin` (float32); no row where none was looked at.

    `part` names what of the attack a step belongs to: "restart 2", or for AutoAttack "fab, target 3, restart 1".
    """
    images, steps = torch.nonzero(~trace.margin.isnan(), as_tuple=True)
    starts = [-1, *(start for start, _ in trace.parts)]
    names = np.array(["", *(name for _, name in trace.parts)], dtype=object)
    latest = np.searchsorted(starts, np.arange(trace.margin.shape[1]), side="right") - 1  # (steps,)
    return pd.DataFrame(
        {
            "sample_id": sample_ids[images].numpy(),
            "step": steps.numpy().astype(np.int32),
            "part": names[latest[steps.numpy()]],
            "loss": trace.loss[images, steps].numpy(),
            "margin": trace.margin[images, steps].numpy(),
        }
    )


def save_trace(path: Path, trace: Trace, sample_ids: Tensor) -> None:
    """Write the table whole or not at all; sample_ids: (n,) int64 of the trace's images."""
    table = trace_table(trace, sample_ids)
    write_atomically(path, lambda temporary: table.to_parquet(temporary, index=False))
