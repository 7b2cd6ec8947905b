"""What `bench crosscheck` prints: one line an implementation, then native against each peer, image by image."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from tabulate import tabulate

from bench.comparison import FARTHER, Comparison, Ratio, compare
from bench.crosscheck import Contender
from bench.files import write_atomically, write_text
from bench.findings import budget_notes
from bench.spec import RunSpec
from bench.tables.metrics_table import percent

HEADERS = (
    "implementation",
    "reached",
    "misclassified",
    "margin",
    "median L2",
    "mean L2",
    "median L∞",
    "passes an image",
    "seconds",
)


def show_crosscheck(spec: RunSpec, contenders: Sequence[Contender], out: Path | None) -> int:
    """Print, write, and return the exit code: 1 when native is beaten, or gave nothing."""
    native, *peers = contenders
    minimizes_l2 = not hasattr(spec.attack_config, "epsilon")
    comparisons = [compare(native, peer, minimizes_l2=minimizes_l2, attack=spec.attack) for peer in peers]
    console = Console(highlight=False, markup=False)
    head, *rows = zip(HEADERS, *map(_row, contenders), strict=True)  # one column an implementation
    console.print(_title(spec), soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name, justify="left" if name == HEADERS[0] else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    lines = [line for comparison in comparisons for line in _lines(comparison)]
    lines += [f"note: {note}" for note in budget_notes(spec.attack_config)]
    for line in lines:
        console.print(line, soft_wrap=True)
    if out is not None:
        body = tabulate(rows, headers=head, tablefmt="github", disable_numparse=True)
        text = f"{_title(spec)}\n\n{body}\n\n" + "".join(f"- {line.strip()}\n" for line in lines)
        write_atomically(out, lambda path: write_text(path, text))
        console.print(f"wrote {out}", soft_wrap=True)
    return 1 if native.outcomes is None or any(comparison.beaten for comparison in comparisons) else 0


def _title(spec: RunSpec) -> str:
    options = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in asdict(spec.attack_config).items() if value is not None
    )
    if spec.precision != "float32":
        options = f"precision {spec.precision}, {options}"
    if spec.target != "none":
        options = f"target {spec.target}, {options}"
    return (
        f"{spec.attack} on {spec.defense} ({spec.dataset}, recipe {spec.recipe}), {spec.n_test} test images that it "
        f"gets right, seed {spec.seed}; {options}"
    )


def _row(contender: Contender) -> list[str]:
    name = f"{contender.backend} {contender.version}".strip()
    if contender.error:
        return [name, *["no numbers"] * (len(HEADERS) - 2), f"{contender.seconds:.1f}"]
    return [
        name,
        percent(contender.reached),
        percent(contender.misclassified),
        _number(contender.median_margin, 2),
        _number(contender.median_l2, 3),
        _number(contender.mean_l2, 3),
        _number(contender.median_linf, 3),
        f"{contender.passes:.0f}",
        f"{contender.seconds:.1f}",
    ]


def _number(value: float | None, digits: int) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def _lines(comparison: Comparison) -> list[str]:
    total = comparison.both + comparison.neither + comparison.only_native + comparison.only_peer
    line = (
        f"native and {comparison.peer} agree on {comparison.both + comparison.neither} of {total} images "
        f"(both reach {comparison.both}, only native {comparison.only_native}, only {comparison.peer} "
        f"{comparison.only_peer})"
    )
    lines = [line, *(f"  {note}" for note in comparison.notes)]
    if comparison.l2_ratio is not None:
        lines.append(
            f"  native's median L2 is {_ratio(comparison.l2_ratio)} times {comparison.peer}'s where both reach it: "
            f"{_verdict(comparison.l2_ratio)}"
        )
    if comparison.image_ratio is not None:
        lines.append(f"  the median of the ratios image by image is {_ratio(comparison.image_ratio)}")
    ending = ["native is beaten"] if comparison.beaten else []
    return [*lines, *(f"  ! {remark}" for remark in [*comparison.remarks, *ending])]


def _ratio(ratio: Ratio) -> str:
    value, low, high = ratio
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"


def _verdict(ratio: Ratio) -> str:
    value, low, high = ratio
    if low > FARTHER:
        return f"above {FARTHER}, beyond the interval"
    if value > FARTHER:
        return f"above {FARTHER}, but the interval includes it, so that native is not beaten beyond it"
    return f"at most {FARTHER}" + (", though the interval reaches beyond" if high > FARTHER else "")
