"""Detectors under attacks that know nothing of them beside attacks that do, as LaTeX (booktabs), Markdown or CSV.

Markdown and CSV have a row for each detector and attack; LaTeX has a block for each detector, with a row for each
number and the attacks side by side, because a page is too narrow for all numbers in one row. Reads records only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.canonical import spelled
from bench.record import Record
from bench.spec import ADAPTIVE, OBLIVIOUS
from bench.tables.captions import budget, caption_of_attacks
from bench.tables.detector_runs import ATTACK_PARTS, DetectorRuns, attack_names, attack_of, detector_runs, threat_of
from bench.tables.latex import environment, escape
from bench.tables.marks import flag_names
from bench.tables.methods_table import SET_OPTIONS
from bench.tables.threat_numbers import EXPLAINED, NUMBERS, auroc_interval
from bench.tables.threat_sentences import sentence

if TYPE_CHECKING:
    import pandas as pd

RATES = ("acc_nadv", "acc_com", "tpr_at_1_fpr", "tpr_at_5_fpr", "success_rate_at_5_fpr", "reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreatsTable:
    """Detectors that share all but themselves and the attack.

    caption: what they share; detectors: in the order of their first run.
    attacks: by run, the attack's name, which no other attack of the table has.
    """

    caption: str
    detectors: tuple[DetectorRuns, ...]
    attacks: dict[str, str]

    @property
    def records(self) -> tuple[Record, ...]:
        """All runs of the table, those of one detector together."""
        return tuple(record for detector in self.detectors for record in detector.records)


def threats_tables(records: Sequence[Record]) -> list[ThreatsTable]:
    """Group the finished runs of detectors into tables whose rows differ by detector and attack alone."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "done" and record.spec["detector"]:
            groups.setdefault(_shared(record), []).append(record)
    return [
        ThreatsTable(
            caption=caption_of_attacks(rows[0].spec),
            detectors=tuple(detector_runs(rows)),
            attacks=attack_names(rows),
        )
        for _, rows in sorted(groups.items())
    ]


def _shared(record: Record) -> str:
    spec, detector = record.spec, record.spec["detector"]
    own = {*ATTACK_PARTS, "defense", "classifier", "detector"}
    shared = {name: value for name, value in spec.items() if name not in own}
    shared |= {name: detector.get(name) for name in SET_OPTIONS if name != "counted"}
    classifier = {name: spec["classifier"][name] for name in ("family", "n_train", "seed")}
    return spelled(shared | classifier | {"dataset_digest": record.dataset_digest})


def render_threats(tables: Sequence[ThreatsTable], form: str) -> str:
    """All tables as "latex", "markdown" or "csv"."""
    match form:
        case "latex":
            return "\n".join(_latex(table) for table in tables)
        case "markdown":
            return "\n".join(_markdown(table) for table in tables)
        case _:
            import pandas as pd  # late, as in the methods' table

            return pd.concat([threats_frame(table) for table in tables], ignore_index=True).to_csv(index=False)


def threats_frame(table: ThreatsTable) -> "pd.DataFrame":
    """One row a detector and attack: every number unrounded with low, high and n, and the run."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for detector in table.detectors:
        for record in detector.records:
            row: dict[str, Any] = {"table": table.caption, "detector": detector.name, "threat": threat_of(record)}
            row["attack"] = table.attacks[record.run_id]
            for name in RATES:
                rate = record.rate(name)
                row |= {f"{name}{part}": getattr(rate, field, None) for part, field in _PARTS}
            row["auroc"] = record.number("auroc")
            row["auroc_low"], row["auroc_high"] = auroc_interval(record) or (None, None)
            row["median_l2"] = record.number("median_l2")
            if record.flags:
                row["flags"] = flag_names(record)
            rows.append(row | {"run": record.run_id})
    return pd.DataFrame(rows)


_PARTS = (("", "value"), ("_low", "low"), ("_high", "high"), ("_n", "n"))


def _markdown(table: ThreatsTable) -> str:
    from tabulate import tabulate

    headers = ["Detector", "Threat", "Attack", *(number.title for number in NUMBERS)]
    rows = [
        [detector.name, threat_of(record), table.attacks[record.run_id], *(number.shown(record) for number in NUMBERS)]
        for detector in table.detectors
        for record in detector.records
    ]
    align = ["left"] * 3 + ["right"] * len(NUMBERS)
    body = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True, colalign=align)
    runs = ", ".join(f"`{record.run_id}`" for record in table.records)
    told = "\n".join(f"- {line}" for line in (*_sentences(table), *_attacks(table), *_flags(table)))
    return f"{table.caption}. {EXPLAINED}. Runs: {runs}.\n\n{body}\n\n{told}\n"


def _sentences(table: ThreatsTable) -> list[str]:
    return [sentence(detector, table.attacks) for detector in table.detectors]


def _attacks(table: ThreatsTable) -> list[str]:
    """Every attack of the table with its budget, and what counts under it."""
    told = {}
    for record in table.records:
        attack = attack_of(record)
        options = budget(attack).strip(" ()")
        told[table.attacks[record.run_id]] = ", ".join(filter(None, [options, f"counted: {attack['counted']}"]))
    return [f"{name}: {options}" for name, options in told.items()]


def _flags(table: ThreatsTable) -> list[str]:
    """What the marks in a table mean, a line a flagged run."""
    return [
        f"(!) sanity flags of {detector.name} under {table.attacks[record.run_id]}: {flag_names(record)}"
        for detector in table.detectors
        for record in detector.records
        if record.flags
    ]


def _latex(table: ThreatsTable) -> str:
    blocks = []
    for detector in table.detectors:
        groups, first = [], 2
        for threat, runs in ((OBLIVIOUS, detector.oblivious), (ADAPTIVE, detector.adaptive)):
            if runs:
                groups.append({"title": threat, "span": len(runs), "first": first, "last": first + len(runs) - 1})
                first += len(runs)
        blocks.append(
            {
                "name": escape(detector.name),
                "groups": groups,
                "attacks": [escape(table.attacks[record.run_id]) for record in detector.records],
                "rows": [
                    [escape(number.title), *(escape(number.shown(record)) for record in detector.records)]
                    for number in NUMBERS
                ],
            }
        )
    return (
        environment()
        .get_template("threats.tex.j2")
        .render(
            runs=", ".join(record.run_id for record in table.records),
            caption=escape(f"{table.caption}."),
            notes=[escape(line) for line in (*_sentences(table), EXPLAINED, *_attacks(table), *_flags(table))],
            columns=max(len(detector.records) for detector in table.detectors),
            blocks=blocks,
        )
    )
