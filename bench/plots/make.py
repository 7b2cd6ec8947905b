"""From records to picture files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attacks.errors import RequestError
from attacks.registration import unknown_name
from bench.files import write_atomically
from bench.record import Record, find_records, load_outcomes, load_record, read_record
from bench.tables.detector_runs import attack_names, detector_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.plots.exposure import Exposure

FORMATS = ("png", "pdf")
DPI = 200


def _roc(exposure: "Exposure") -> "Figure":
    from bench.plots.roc import draw_roc  # late, as below: names are checked without matplotlib

    return draw_roc(exposure)


def _scores(exposure: "Exposure") -> "Figure":
    from bench.plots.scores import draw_scores

    return draw_scores(exposure)


def _budget(exposure: "Exposure") -> "Figure":
    from bench.plots.budget import draw_budget

    return draw_budget(exposure)


PICTURES: Mapping[str, Callable[["Exposure"], "Figure"]] = {"roc": _roc, "scores": _scores, "budget": _budget}


def plot(picture: str, *runs: str, results_dir: str | Path = "results", out: str | Path | None = None) -> list[Path]:
    """Draw the finished runs of detectors, and return the files, PNG and PDF.

    Args:
        picture: "roc" (ROC curves), "scores" (histograms of the log-odds) or "budget" (success by budget).
        *runs: hashes, their first digits, or paths of records; all below `results_dir` when left out.
        results_dir: where the records are.
        out: the folder to write to; `plots` below `results_dir` when None.

    Raises:
        RequestError: there is no such picture or record, or none that can be drawn.
        DataError: a named record is damaged, or the folder cannot be written to.
    """
    if picture not in PICTURES:
        raise RequestError(unknown_name("picture", picture, list(PICTURES)))
    figure = PICTURES[picture](_exposure(runs, Path(results_dir)))
    folder = Path(results_dir) / "plots" if out is None else Path(out)
    files = [folder / f"{picture}.{form}" for form in FORMATS]
    for file, form in zip(files, FORMATS, strict=True):
        write_atomically(file, lambda path, form=form: _save(figure, path, form))  # type: ignore[misc]
    return files


def _exposure(runs: Sequence[str], results_dir: Path) -> "Exposure":
    from bench.plots.exposure import Exposure

    folders = find_records(runs, results_dir)
    read = [read_record(folder) if runs else load_record(folder) for folder in folders]
    found = {record.run_id: (record, folder) for record, folder in zip(read, folders, strict=True) if record}
    records = sorted((record for record, _ in found.values()), key=lambda record: record.provenance["created"])
    watched = [record for record in records if record.spec["detector"]]
    finished = [record for record in watched if record.status == "done"]
    if not finished:
        raise RequestError(_nothing(records, watched))
    return Exposure(
        detectors=tuple(detector_runs(finished)),
        attacks=attack_names(finished),
        outcomes={record.run_id: load_outcomes(found[record.run_id][1]) for record in finished},
    )


def _nothing(records: Sequence[Record], watched: Sequence[Record]) -> str:
    """Why there is nothing to draw."""
    if watched:
        return f"none of the {len(watched)} runs of detectors is finished; run them again"
    return (
        f"none of the {len(records)} records is of a detector; "
        "`bench run --defense kd,lid,er1,er2 --attack cw --confidence 9` makes some"
    )


def _save(figure: "Figure", path: Path, form: str) -> None:
    metadata = {"CreationDate": None} if form == "pdf" else {}  # so that the same numbers give the same file
    figure.savefig(path, format=form, dpi=DPI, metadata=metadata)
