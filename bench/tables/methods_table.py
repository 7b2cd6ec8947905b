"""The paper-style table, Methods x (ACC-NADV, ACC-COM), as LaTeX (booktabs), Markdown or CSV.

Records that differ in anything but the method stand in tables of their own. Reads records only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.canonical import spelled
from bench.files import write_atomically, write_text
from bench.metrics.rates import Rate
from bench.paper.published import Published, published_for
from bench.record import Record
from bench.tables.captions import caption
from bench.tables.differences import name_apart
from bench.tables.latex import environment, escape
from bench.tables.marks import flag_names, mark

if TYPE_CHECKING:
    import pandas as pd

# of a detector's spec
SET_OPTIONS = ("train_attack", "train_attack_config", "n_fit", "counted", "noise_l2", "class_weight")
FORMATS = ("latex", "markdown", "csv")
DETECTOR_COLUMNS = (("acc_nadv", "ACC-NADV"), ("acc_com", "ACC-COM"))
CLASSIFIER_COLUMNS = (("clean_accuracy", "clean accuracy"), ("robust_accuracy", "robust accuracy"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodsTable:
    """One table, numbers not yet rounded.

    caption: dataset, recipe, sizes, seed; columns: (metric, title) of rates; records: one a row.
    paper: the paper's cell for each record, None where it has none.
    """

    caption: str
    columns: tuple[tuple[str, str], ...]
    records: tuple[Record, ...]
    paper: tuple[Published | None, ...]

    @property
    def has_paper(self) -> bool:
        """Whether the paper has a number for any of the rows."""
        return any(self.paper)

    @property
    def has_distance(self) -> bool:
        """Whether the rows say how far the attack moved images: classifiers under one that no ball bounds."""
        spec = self.records[0].spec
        return not spec["detector"] and "epsilon" not in spec["attack_config"]


def methods_tables(records: Sequence[Record]) -> list[MethodsTable]:
    """Group finished records into tables whose rows differ by method alone."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "done":
            groups.setdefault(_group(record), []).append(record)
    tables = []
    for _, rows in sorted(groups.items()):
        tables.append(
            MethodsTable(
                caption=caption(rows[0].spec),
                columns=DETECTOR_COLUMNS if rows[0].spec["detector"] else CLASSIFIER_COLUMNS,
                records=tuple(rows),
                paper=tuple(published_for(record.spec) for record in rows),
            )
        )
    return tables


def _group(record: Record) -> str:
    """Everything that rows of one table share: all of the spec but the method and what follows from it."""
    shared = {name: value for name, value in record.spec.items() if name not in ("defense", "classifier", "detector")}
    detector = record.spec["detector"]
    if detector:
        shared |= {name: detector.get(name) for name in SET_OPTIONS}  # older records lack the newest ones
    classifier = {name: record.spec["classifier"][name] for name in ("family", "n_train", "seed")}
    bytes_of = {"dataset_digest": record.dataset_digest}
    return spelled(shared | classifier | bytes_of | {"is_detector": bool(detector)})


def method_name(record: Record) -> str:
    """The paper's spelling of a method: ER1, ER1⁻, KD; classifiers as registered."""
    name = str(record.spec["defense"])
    return name.upper().replace("-MINUS", "⁻") if record.spec["detector"] else name


def row_names(records: Sequence[Record]) -> dict[str, str]:
    """A name for each run: the method's with what was asked of it, and what rows differ in that still share one."""
    names = [_with_own_options(method_name(record), record) for record in records]
    names = name_apart(names, [record.spec for record in records])
    return {record.run_id: name for record, name in zip(records, names, strict=True)}


def _with_own_options(name: str, record: Record) -> str:
    """The name, and the options of classifier and detector that were asked for: "ER1 (prior cauchy)"."""
    asked = {
        option: value
        for option, value in record.request.get("options", {}).items()
        if option not in record.spec["attack_config"]
    }
    parts = [
        option.replace("_", " ") + ("" if value is True else f" {value}") for option, value in sorted(asked.items())
    ]
    return f"{name} ({', '.join(parts)})" if parts else name


def render(tables: Sequence[MethodsTable], form: str) -> str:
    """All tables in one of `FORMATS`."""
    match form:
        case "latex":
            return "\n".join(_latex(table) for table in tables)
        case "markdown":
            return "\n".join(_markdown(table) for table in tables)
        case _:
            import pandas as pd  # late, as Jinja below: the screen's tables need neither

            return pd.concat([frame(table) for table in tables], ignore_index=True).to_csv(index=False)


def save_latex(path: Path, records: Sequence[Record]) -> None:
    """Write the LaTeX tables of `records`."""
    text = render(methods_tables(records), "latex")
    write_atomically(path, lambda temporary: write_text(temporary, text))


def frame(table: MethodsTable) -> "pd.DataFrame":
    """One row a record: method, every metric's value, low, high and n, the paper's values, and the run."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    names = row_names(table.records)
    for record, paper in zip(table.records, table.paper, strict=True):
        row: dict[str, Any] = {"table": table.caption, "method": names[record.run_id]}
        for metric, _ in table.columns:
            value = record.rate(metric)
            assert value is not None
            row |= {metric: value.value, f"{metric}_low": value.low, f"{metric}_high": value.high}
            row[f"{metric}_n"] = value.n
            row[f"{metric}_paper"] = getattr(paper, metric, None)
        if table.has_distance:
            row["median_l2"] = record.number("median_l2")
        if vanish := _of(record, "gradients_vanish"):
            row["gradients_vanish"] = vanish
        if record.flags:
            row["flags"] = flag_names(record)
        rows.append(row | {"reached": _of(record, "reached"), "run": record.run_id})
    return pd.DataFrame(rows)


def _attack_titles(table: MethodsTable) -> list[str]:
    """What stands behind the rates: of the test attack."""
    return ["reached", "median L2"] if table.has_distance else ["reached"]


def _of(record: Record, metric: str) -> str:
    value = record.rate(metric)
    return f"{value.successes}/{value.n}" if value else ""


def _cells(table: MethodsTable) -> list[list[str]]:
    """Method, ours (with interval) a column, how many images reached the goal and how far, the paper's if any."""
    rows, names = [], row_names(table.records)
    for record, paper in zip(table.records, table.paper, strict=True):
        row = [names[record.run_id], *(_ours(record, metric) for metric, _ in table.columns)]
        row.append(_of(record, "reached"))
        if table.has_distance:
            distance = record.number("median_l2")
            row.append("n/a" if distance is None else f"{distance:.3f}")
        if table.has_paper:
            row += [f"{100 * getattr(paper, metric):.2f}" if paper else "n/a" for metric, _ in table.columns]
        rows.append(row)
    return rows


def _ours(record: Record, metric: str) -> str:
    return _with_interval(record.rate(metric)) + mark(record, metric)


def _with_interval(value: Rate | None) -> str:
    if value is None or value.value is None or value.low is None or value.high is None:
        return "n/a"
    return f"{100 * value.value:.2f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _markdown(table: MethodsTable) -> str:
    from tabulate import tabulate

    titles = [title for _, title in table.columns]
    headers = ["Methods", *titles, *_attack_titles(table)] + (
        [f"{title} (paper)" for title in titles] if table.has_paper else []
    )
    runs = ", ".join(f"`{record.run_id}`" for record in table.records)
    align = ["left"] + ["right"] * (len(headers) - 1)
    body = tabulate(_cells(table), headers=headers, tablefmt="github", disable_numparse=True, colalign=align)
    return f"{table.caption}. Runs: {runs}.\n\n{body}\n{_flags_below(table)}"


def _flags_below(table: MethodsTable) -> str:
    """What the marks in a table mean; empty where no record is flagged."""
    names = row_names(table.records)
    lines = [f"{names[record.run_id]}: {flag_names(record)}" for record in table.records if record.flags]
    return f"\n(!) sanity flags: {'; '.join(lines)}\n" if lines else ""


def _latex(table: MethodsTable) -> str:
    titles = [title for _, title in table.columns]
    ours, count = [*titles, *_attack_titles(table)], len(titles)
    last = len(ours) + 1
    groups = [{"title": "ours", "span": len(ours), "first": 2, "last": last}]
    if table.has_paper:
        number = next(paper.table for paper in table.paper if paper)
        groups.append({"title": f"paper, Table {number}", "span": count, "first": last + 1, "last": last + count})
    return (
        environment()
        .get_template("methods.tex.j2")
        .render(
            runs=", ".join(record.run_id for record in table.records),
            caption=escape(" ".join(f"{table.caption}.{_flags_below(table)}".split())),
            columns=[*ours, *(titles if table.has_paper else [])],
            groups=groups,
            rows=[[escape(cell) for cell in row] for row in _cells(table)],
        )
    )
