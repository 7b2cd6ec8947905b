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
    """Columns `sample_id`, `step` (int), `loss`, `margin` (float32); no row where an image was not looked at."""
    images, steps = torch.nonzero(~trace.margin.isnan(), as_tuple=True)
    return pd.DataFrame(
        {
            "sample_id": sample_ids[images].numpy(),
            "step": steps.numpy().astype(np.int32),
            "loss": trace.loss[images, steps].numpy(),
            "margin": trace.margin[images, steps].numpy(),
        }
    )


def save_trace(path: Path, trace: Trace, sample_ids: Tensor) -> None:
    """Write the table whole or not at all; sample_ids: (n,) int64 of the trace's images."""
    table = trace_table(trace, sample_ids)
    write_atomically(path, lambda temporary: table.to_parquet(temporary, index=False))
