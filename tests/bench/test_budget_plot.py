"""Success by budget: every point and every step is a count of rows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from test_plots import AWARE, PGD, Shown, outcomes_of

from attacks.adaptive import AdaptiveConfig
from attacks.errors import RequestError
from attacks.pgd import PgdConfig
from bench.plots.budget import draw_budget, passes_within
from bench.plots.colors import COLORS
from bench.record import Record

Make = Callable[..., Record]


def _rows(shift: float, seed: int) -> pd.DataFrame:
    rows = outcomes_of(shift, seed)
    return rows.assign(l2=np.random.default_rng(seed).uniform(1, 4, len(rows)))


def _in_balls(shown: Shown, make: Make) -> None:
    for number, epsilon in enumerate((0.2, 0.05, 0.1)):
        config = PgdConfig(epsilon=epsilon, step_size=0.01, steps=40, until="end")
        shown.add(make(**(PGD | {"attack_config": config})), _rows(4, 30 + number))
        shown.add(make(**(AWARE | {"attack_config": config})), _rows(0, 40 + number), adaptive=True)


def test_a_curve_counts_the_images_that_mislead_and_pass_within_a_distance(make_record: Make) -> None:
    shown = Shown()
    record = shown.add(make_record(), _rows(2, 1))
    distances, shares = passes_within(shown.exposure, record)
    threshold = record.number("threshold_at_5_fpr")
    attacked = shown.rows[record.run_id].query("role == 'test' and kind == 'adversarial'")
    assert 0 < len(distances) < len(attacked)
    for distance, share in zip(distances, shares, strict=True):
        within = attacked[(attacked["l2"] <= distance) & ~attacked["correct"]]
        assert share == pytest.approx((within["probability"] <= threshold).sum() / len(attacked))
    (axes,) = draw_budget(shown.exposure).axes
    x, y = axes.lines[0].get_data()
    assert list(x) == [0.0, *distances]
    assert list(y) == [0.0, *shares]
    assert axes.lines[0].get_drawstyle() == "steps-post"


def test_runs_of_several_epsilons_are_one_line_in_rising_order(make_record: Make) -> None:
    shown = Shown()
    _in_balls(shown, make_record)
    (axes,) = draw_budget(shown.exposure).axes
    oblivious, adaptive = axes.lines
    for line, runs in ((oblivious, shown.runs[::2]), (adaptive, shown.runs[1::2])):
        assert list(line.get_xdata()) == [0.05, 0.1, 0.2]
        ordered = sorted(runs, key=lambda run: run.spec["attack_config"]["epsilon"])
        rates = [run.rate("success_rate_at_5_fpr") for run in ordered]
        assert list(line.get_ydata()) == [rate.value for rate in rates if rate]
    assert (oblivious.get_linestyle(), adaptive.get_linestyle()) == ("-", "--")
    assert {to_hex(line.get_color()) for line in axes.lines} == {to_hex(COLORS[0])}


def test_both_budgets_have_a_panel_and_an_attack_with_both_has_none(make_record: Make) -> None:
    shown = Shown()
    both = {"attack": "adaptive", "attack_config": AdaptiveConfig(epsilon=0.3, max_l2=4.85)}
    shown.add(make_record(**both), _rows(0, 3), adaptive=True)
    with pytest.raises(RequestError, match="no run has a budget of one kind"):
        draw_budget(shown.exposure)
    _in_balls(shown, make_record)
    shown.add(make_record(), _rows(2, 1))
    panels = draw_budget(shown.exposure).axes
    assert ["infinity" in axes.get_xlabel() for axes in panels] == [True, False]
    assert [len(axes.lines) for axes in panels] == [2, 1]


def test_more_detectors_than_colors_are_refused(make_record: Make) -> None:
    shown = Shown()
    for number in range(len(COLORS) + 1):
        record = make_record(defense=f"er{number}", seed=number)
        shown.add(replace(record), _rows(2, number))
    with pytest.raises(RequestError, match="name the runs"):
        draw_budget(shown.exposure)
