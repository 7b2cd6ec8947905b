"""The Python calls behind the command line.

from bench.api import run
(record,) = run(defense="er1", attack="cw", confidence=20)
print(record.rate("acc_com"))
"""

from pathlib import Path
from typing import Any

from attacks.errors import RequestError
from attacks.registration import unknown_name
from bench.options import OPTIONS, parse_value
from bench.progress import Progress, Silent
from bench.record import Record, load_records
from bench.sweep import in_order, plan, sweep
from bench.workspace import Workspace, choose_batch_size, choose_device


def run(
    *,
    results_dir: str | Path = "results",
    data_dir: str | Path = "data",
    download: bool = False,
    device: str = "auto",
    batch_size: int | None = None,
    trace: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> list[Record]:
    """Run one cell or a grid and return the records, reusing whatever is stored.

    Args:
        results_dir: where records and the store go.
        data_dir: where the datasets are.
        download: fetch missing data.
        device: "auto", "cpu", "cuda" or "cuda:N".
        batch_size: images attacked together; changes no result. None chooses by the device.
        trace: store loss and margin of every step of the attack in `trace.parquet`.
        progress: who is told how far it is; nobody by default.
        **options: the command line's options with underscores, each one value or a list of them, for instance
            `defense=["er1", "kd"], attack="cw", confidence=20`.

    Raises:
        RequestError: an option is unknown, or what was asked for does not fit.
        DataError: data are missing or damaged, or the results folder cannot be written to.
    """
    for name in options:
        if name not in OPTIONS:
            raise RequestError(unknown_name("option", name, list(OPTIONS)))
    values = {
        # read as the command line reads them, so that 9 and 9.0 name one run
        name: [parse_value(name, str(item)) for item in (value if isinstance(value, list | tuple) else [value])]
        for name, value in options.items()
        if value is not None
    }
    chosen = choose_device(device)
    workspace = Workspace(
        results_dir=Path(results_dir),
        data_dir=Path(data_dir),
        download=download,
        device=chosen,
        batch_size=choose_batch_size(batch_size, chosen),
        traced=trace,
        progress=progress or Silent(),
    )
    cells = plan(values, workspace)
    return in_order(cells, sweep(cells, workspace))


__all__ = ["load_records", "run"]
