"""Pictures of detectors: what is drawn is what the rows say, nothing hides, and every refusal is one line."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from small_runs import Ended, assert_refused

from attacks.errors import RequestError
from attacks.pgd import PgdConfig
from bench.api import plot
from bench.canonical import plain
from bench.metrics.detection import detection_metrics, threshold_at
from bench.metrics.rates import rate
from bench.plots.exposure import Exposure
from bench.plots.roc import draw_roc, roc_points
from bench.plots.scores import WIDEST, draw_scores, log_odds
from bench.record import Record, save_record
from bench.spec import RunSpec
from bench.tables.detector_runs import attack_names, detector_runs

Make = Callable[..., Record]
PGD = {"attack": "pgd", "attack_config": PgdConfig(epsilon=0.3, step_size=0.01, steps=40, until="end")}
AWARE = PGD | {"attack": "pgd-selective"}


def outcomes_of(shift: float, seed: int, *, clean: int = 40, adversarial: int = 30) -> pd.DataFrame:
    """Rows of a detector: probabilities of adversarial images lie `shift` log-odds above those of clean ones."""
    generator = np.random.default_rng(seed)
    frames = []
    for kind, n, center in (("clean", clean, -3), ("noisy", clean, -2), ("adversarial", adversarial, -3 + shift)):
        frame = pd.DataFrame({"sample_id": range(n), "role": "test", "kind": kind, "correct": kind != "adversarial"})
        # clean images are the same in all runs of a detector
        own = np.random.default_rng(0) if kind == "clean" else generator
        probability = 1 / (1 + np.exp(-own.normal(center, 1.5, n)))
        frames.append(
            frame.assign(probability=probability, score_a=probability, flagged=probability > 0.5, judged=True)
        )
    unjudged = frames[-1].assign(judged=False, probability=1.0)
    elsewhere = pd.concat(frames).assign(role="fit", probability=0.0)
    return pd.concat([*frames, unjudged, elsewhere], ignore_index=True)


class Shown:
    """Runs with rows: in memory to be drawn, or on disk."""

    def __init__(self) -> None:
        self.runs: list[Record] = []
        self.rows: dict[str, pd.DataFrame] = {}

    def add(self, record: Record, rows: pd.DataFrame, *, adaptive: bool = False) -> Record:
        own = {"threat": "adaptive"} if adaptive else {}
        metrics = plain(detection_metrics(rows) | {"reached": rate(30, 30)})
        record = replace(record, detector=own, metrics=metrics)
        self.runs.append(record)
        self.rows[record.run_id] = rows
        return record

    @property
    def exposure(self) -> Exposure:
        detectors = tuple(detector_runs(self.runs))
        return Exposure(detectors=detectors, attacks=attack_names(self.runs), outcomes=self.rows)

    def save(self, results: Path) -> None:
        for record in self.runs:
            save_record(results / "runs" / record.run_id, record, self.rows[record.run_id])


@pytest.fixture
def shown(make_record: Make, spec: RunSpec) -> Shown:
    """er1 and er2, each under cw and under one attack that knows it."""
    assert spec.detector is not None
    made = Shown()
    for number, name in enumerate(["er1", "er2"]):
        own = {"defense": name, "detector": replace(spec.detector, name=name)}
        made.add(make_record(**own), outcomes_of(5, 10 + number))
        made.add(make_record(**own, **AWARE), outcomes_of(0.5, 20 + number), adaptive=True)
    return made


def curves(axes: Axes) -> dict[str, Any]:
    return {str(line.get_label()): line for line in axes.lines if not str(line.get_label()).startswith("_")}


def test_a_curve_passes_through_the_rates_of_the_tables(shown: Shown) -> None:
    record = shown.runs[0]
    clean, attacked = (shown.exposure.probabilities(record, kind) for kind in ("clean", "adversarial"))
    assert (len(clean), len(attacked)) == (40, 30)  # neither set I nor what does not count
    fpr, tpr = roc_points(clean, attacked)
    for most in (0.01, 0.05, 0.3, 1.0):
        at = np.searchsorted(fpr, most + 1e-12, side="right") - 1
        assert tpr[at] == (attacked > threshold_at(clean, most)).mean() if most < 1 else tpr[at] == 1
    line = next(iter(curves(draw_roc(shown.exposure).axes[0]).values()))
    x, y = line.get_data()
    assert line.get_drawstyle() == "steps-post"
    for name, most in (("tpr_at_1_fpr", 0.01), ("tpr_at_5_fpr", 0.05)):
        told = record.rate(name)
        assert told is not None
        assert y[np.searchsorted(x, most + 1e-12, side="right") - 1] == pytest.approx(told.value)


def test_one_color_a_detector_and_dashes_for_attacks_that_know_it(shown: Shown) -> None:
    (axes,) = draw_roc(shown.exposure).axes
    lines = curves(axes)
    assert list(lines) == [
        f"{name}: {attack} (n 40 + 30)" for name in ("ER1", "ER2") for attack in ("cw κ=9", "pgd-selective")
    ]
    first, second, third, fourth = lines.values()
    assert first.get_color() == second.get_color() != third.get_color() == fourth.get_color()
    assert [line.is_dashed() for line in lines.values()] == [False, True, False, True]
    assert axes.get_xscale() == "log"


def test_several_attacks_of_a_threat_take_a_panel_a_detector(shown: Shown, make_record: Make) -> None:
    shown.add(make_record(**PGD), outcomes_of(4, 30))
    first, second = draw_roc(shown.exposure).axes
    assert [axes.get_title() for axes in (first, second)] == ["ER1", "ER2"]
    lines = curves(first)
    assert [label.split(" (")[0] for label in lines] == ["cw κ=9", "pgd", "pgd-selective"]
    assert len({line.get_color() for line in lines.values()}) == 3
    same = [curves(axes)["cw κ=9 (n 40 + 30)"].get_color() for axes in (first, second)]
    assert same[0] == same[1]


def test_legends_lie_outside_the_data_and_texts_within_the_picture(shown: Shown, make_record: Make) -> None:
    shown.add(make_record(**PGD), outcomes_of(4, 30))
    for figure in (draw_roc(shown.exposure), draw_scores(shown.exposure)):
        figure.draw_without_rendering()
        width, height = figure.bbox.size
        for axes in figure.axes:
            legend = axes.get_legend().get_window_extent()
            assert not legend.overlaps(axes.get_window_extent())
            tight = axes.get_tightbbox()
            assert min(tight.x0, tight.y0) >= -1
            assert tight.x1 <= width + 1
            assert tight.y1 <= height + 1
            assert not any(legend.overlaps(other.get_window_extent()) for other in figure.axes)


def test_histograms_hold_every_image_that_counts(shown: Shown) -> None:
    for axes, record in zip(draw_scores(shown.exposure).axes, shown.runs[::2], strict=True):
        outlines = {str(patch.get_label()): patch for patch in axes.patches if patch.get_label()}
        assert list(outlines) == [
            "clean (n 40)",
            "noisy (n 40)",
            "oblivious: cw κ=9 (n 30)",
            "adaptive: pgd-selective (n 30)",
        ]
        assert len({to_hex(patch.get_edgecolor()) for patch in outlines.values()}) == 4
        for patch in outlines.values():
            assert patch.get_data().values.sum() == pytest.approx(1)
        edges = outlines["clean (n 40)"].get_data().edges
        odds = log_odds(shown.exposure.probabilities(record, "clean"))
        odds = odds.clip(edges[0], np.nextafter(edges[-1], 0))  # what lies beyond is in the outer bars
        counted = [((odds >= low) & (odds < high)).sum() for low, high in pairwise(edges)]
        np.testing.assert_allclose(outlines["clean (n 40)"].get_data().values * 40, counted)
        lines = curves(axes)
        threshold = record.number("threshold_at_5_fpr")
        assert threshold is not None
        assert lines["probability 0.5"].get_xdata()[0] == 0
        assert lines["threshold at 5 % of clean"].get_xdata()[0] == pytest.approx(np.log(threshold / (1 - threshold)))
        assert edges[0] < 0 < edges[-1]


def test_the_strongest_attack_of_a_threat_is_drawn_and_the_others_are_counted(shown: Shown, make_record: Make) -> None:
    shown.add(make_record(**PGD | {"attack": "match"}), outcomes_of(-1, 31), adaptive=True)
    labels = draw_scores(shown.exposure).axes[0].get_legend_handles_labels()[1]
    assert "adaptive: match (n 30, strongest of 2)" in labels
    assert not any("pgd-selective" in label for label in labels)


def test_log_odds_of_certainty_are_finite() -> None:
    np.testing.assert_allclose(log_odds(np.array([0.0, 0.5, 0.75, 1.0])), [-WIDEST, 0, np.log(3), WIDEST])


def test_nothing_that_counts_is_no_crash(shown: Shown) -> None:
    for rows in shown.rows.values():
        rows.loc[rows["kind"] == "adversarial", "judged"] = False
    assert all("no curve" in label for label in curves(draw_roc(shown.exposure).axes[0]))
    labels = draw_scores(shown.exposure).axes[0].get_legend_handles_labels()[1]
    assert "oblivious: cw κ=9 (n 0)" in labels


@pytest.mark.usefixtures("in_an_empty_folder")
def test_the_command_writes_png_and_pdf(shown: Shown, tmp_path: Path, bench: Callable[..., Ended]) -> None:
    results = tmp_path / "results"
    shown.save(results)
    for picture in ("roc", "scores"):
        ended = bench("plot", picture, "--results-dir", str(results))
        assert ended.code == 0, ended.err
        files = [results / "plots" / f"{picture}.{form}" for form in ("png", "pdf")]
        assert ended.out.splitlines() == [f"wrote {file}" for file in files]
        assert files[0].read_bytes().startswith(b"\x89PNG")
        assert files[1].read_bytes().startswith(b"%PDF")
    one = shown.runs[1].run_id
    again = bench("plot", "roc", one[:8], "--results-dir", str(results), "--out", str(tmp_path / "own"))
    assert again.out.splitlines()[0] == f"wrote {tmp_path / 'own' / 'roc.png'}"
    by_path = plot("roc", str(results / "runs" / one), results_dir=tmp_path / "nothing", out=tmp_path / "api")
    assert by_path[1].read_bytes() == (tmp_path / "own" / "roc.pdf").read_bytes()


@pytest.mark.usefixtures("in_an_empty_folder")
def test_what_cannot_be_drawn_is_refused(
    shown: Shown, make_record: Make, tmp_path: Path, bench: Callable[..., Ended]
) -> None:
    results = tmp_path / "results"
    shown.save(results)

    def refused(*arguments: str, where: Path = results) -> Ended:
        return bench("plot", *arguments, "--results-dir", str(where))

    assert_refused(refused("rok"), "unknown picture 'rok'; did you mean 'roc'?", "scores")
    assert_refused(refused("roc", "ffff"), "no record ffff under")
    assert_refused(refused("roc", where=tmp_path / "nothing"), "no records under", "`bench run` makes some")
    bare, failed = make_record(detector=None), make_record(status="error", seed=7)
    for folder, record in ((tmp_path / "bare", bare), (tmp_path / "failed", failed)):
        save_record(folder / "runs" / record.run_id, record, None)
    assert_refused(refused("roc", where=tmp_path / "bare"), "none of the 1 records is of a detector")
    assert_refused(refused("scores", where=tmp_path / "failed"), "none of the 1 runs of detectors is finished")
    (results / "runs" / shown.runs[0].run_id / "outcomes.parquet").write_bytes(b"PAR1")
    assert_refused(refused("roc", shown.runs[0].run_id), "does not match its checksum")
    many = Shown()
    for seed in range(8):
        many.add(make_record(seed=seed), outcomes_of(1, seed))
    many.save(tmp_path / "many")
    assert_refused(refused("roc", where=tmp_path / "many"), "8 detectors are too many", "name the runs to draw")
    for steps in range(7):
        config = PgdConfig(epsilon=0.3, step_size=0.01, steps=50 + steps, until="end")
        shown.add(make_record(attack="pgd", attack_config=config), outcomes_of(1, steps))
    with pytest.raises(RequestError, match="9 attacks are too many"):
        draw_roc(shown.exposure)


def test_pictures_need_no_torch() -> None:
    program = (
        "import sys, bench.plots.make, bench.plots.roc, bench.plots.scores\n"
        "print([name for name in ('torch', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
