"""Native against a peer, image by image: what counts as beaten, and what is explained.

Intervals are Wilson's, recomputed by hand where a test depends on them; hand-made contenders have known distances.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from bench.cli.crosscheck_output import show_crosscheck
from bench.comparison import Comparison, compare
from bench.crosscheck import Contender
from bench.metrics.rates import rate
from bench.spec import RunSpec

TOTAL = 100


def contender(backend: str, reached: range, l2: float | Tensor = 1.0) -> Contender:
    """It reached the goal on these of 100 images, at this distance."""
    ids = np.arange(TOTAL)
    distances = np.broadcast_to(np.asarray(l2, dtype=float), TOTAL)
    is_reached = np.isin(ids, reached)
    outcomes = pd.DataFrame({"sample_id": ids, "reached": is_reached, "l2": np.where(is_reached, distances, 0.0)})
    share = rate(len(reached), TOTAL)
    return Contender(backend=backend, version="1.0", reached=share, misclassified=share, outcomes=outcomes)


def compared(native: Contender, peer: Contender, attack: str = "cw") -> Comparison:
    return compare(native, peer, minimizes_l2=attack == "cw", attack=attack)


def test_images_are_counted_by_who_reached_them() -> None:
    comparison = compared(contender("native", range(10, 60)), contender("foolbox", range(15, 63)))
    counts = (comparison.both, comparison.neither, comparison.only_native, comparison.only_peer)
    assert counts == (45, 10 + 37, 5, 3)
    assert (comparison.peer, comparison.beaten, comparison.remarks) == ("foolbox", False, [])


# Wilson's 95 % interval of 50 in 100 is [40.4 %, 59.6 %]
@pytest.mark.parametrize(
    ("theirs", "beaten", "remark"),
    [
        (59, False, ""),
        (60, True, "foolbox reaches the goal more often than native, beyond native's interval"),
        (41, False, ""),
        (40, False, "foolbox reaches the goal less often, beyond the interval: it gives back the last iterate, not"),
    ],
)
def test_success_beyond_natives_interval_beats_it_and_below_is_explained(
    theirs: int, beaten: bool, remark: str
) -> None:
    comparison = compared(contender("native", range(50)), contender("foolbox", range(theirs)), "pgd")
    assert comparison.beaten is beaten
    assert [text[: len(remark)] for text in comparison.remarks] == [remark] * bool(remark)
    assert comparison.l2_ratio is None  # PGD stays in a ball and looks for nothing nearer


def test_distances_are_compared_where_both_reached_the_goal() -> None:
    ratios = torch.linspace(0.9, 1.1, TOTAL)
    ratios[:20] = 50.0  # the peer missed these
    native, peer = contender("native", range(TOTAL), 3 * ratios), contender("foolbox", range(20, TOTAL), 3.0)
    comparison = compared(native, peer)
    assert comparison.l2_ratio is not None
    assert comparison.image_ratio == pytest.approx(comparison.l2_ratio)  # the peer's distances are all alike
    median, low, high = comparison.l2_ratio
    assert median == pytest.approx(float(ratios[20:].double().quantile(0.5)), abs=1e-6)
    # the median of 80 draws lies with 95 % between the 31st and the 50th of them (binomial, n 80, p 1/2)
    expected = ratios[20:].sort().values[[30, 49]].tolist()
    assert [low, high] == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize(
    ("farther", "beaten", "remark"),
    [
        (1.004, False, ""),
        (1.006, True, "native's images are farther away than foolbox's"),
        (0.996, False, ""),
        (0.99, False, "foolbox's images are farther away than native's: it stops the whole batch"),
    ],
)
def test_distances_more_than_half_a_percent_larger_beat_native(farther: float, beaten: bool, remark: str) -> None:
    comparison = compared(contender("native", range(80), 2 * farther), contender("foolbox", range(80), 2.0))
    assert comparison.l2_ratio == pytest.approx((farther, farther, farther))
    assert comparison.beaten is beaten
    assert [text[: len(remark)] for text in comparison.remarks] == [remark] * bool(remark)


def test_distances_that_scatter_around_half_a_percent_do_not_beat_native() -> None:
    scattered = 1.006 + 0.1 * torch.linspace(-1, 1, TOTAL)  # the interval holds 1
    assert not compared(contender("native", range(TOTAL), scattered), contender("foolbox", range(TOTAL))).beaten


def test_the_ratio_of_medians_decides_and_the_median_ratio_stands_beside_it(
    spec: RunSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    # 80 images a little nearer and 20 much farther: the median ratio is below 1, that of the medians is not
    ours = torch.cat([torch.linspace(1, 2, 80), torch.full((20,), 9.0)])
    theirs = torch.cat([1.01 * torch.linspace(1, 2, 80), torch.full((20,), 0.1)])
    contenders = [contender("native", range(TOTAL), ours), contender("foolbox", range(TOTAL), theirs)]
    comparison = compared(*contenders)
    assert comparison.l2_ratio is not None
    assert comparison.image_ratio is not None
    assert comparison.image_ratio[0] == pytest.approx(1 / 1.01, abs=1e-3)
    expected = float(ours.double().quantile(0.5) / theirs.double().quantile(0.5))
    assert comparison.l2_ratio[0] == pytest.approx(expected) == pytest.approx(1.19, abs=0.02)
    assert comparison.beaten is (comparison.l2_ratio[1] > 1.005)
    show_crosscheck(spec, contenders, None)
    out = capsys.readouterr().out
    assert f"native's median L2 is {comparison.l2_ratio[0]:.4f} [" in out
    assert f"the median of the ratios image by image is {comparison.image_ratio[0]:.4f} [" in out


@pytest.mark.parametrize(
    ("ours", "verdict", "code"),
    [
        (torch.full((TOTAL,), 1.004), "at most 1.005\n", 0),
        (torch.linspace(0.9, 1.1, TOTAL), "at most 1.005, though the interval reaches beyond", 0),
        (
            torch.linspace(0.92, 1.12, TOTAL),
            "above 1.005, but the interval includes it, so that native is not beaten",
            0,
        ),
        (torch.full((TOTAL,), 1.006), "above 1.005, beyond the interval", 1),
    ],
    ids=["at most", "near", "doubtful", "above"],
)
def test_the_verdict_says_where_the_interval_lies(
    spec: RunSpec, capsys: pytest.CaptureFixture[str], ours: Tensor, verdict: str, code: int
) -> None:
    contenders = [contender("native", range(TOTAL), ours), contender("foolbox", range(TOTAL))]
    assert show_crosscheck(spec, contenders, None) == code
    assert verdict in capsys.readouterr().out


def test_no_image_reached_by_both_says_nothing_of_distances() -> None:
    assert compared(contender("native", range(50)), contender("foolbox", range(50, 100))).l2_ratio is None


@pytest.mark.parametrize("shared", [9, 10])
def test_distances_of_fewer_than_ten_images_give_no_verdict(shared: int) -> None:
    comparison = compared(contender("native", range(10, 50), 9.0), contender("foolbox", range(10 + shared)))
    too_few = "distances are not compared: both reached 9 images, 10 are needed"
    assert comparison.notes == ([too_few] if shared == 9 else [])
    assert "distances" not in " ".join(comparison.remarks)
    assert (comparison.l2_ratio is None, comparison.beaten) == (shared == 9, shared == 10)


def test_the_title_names_target_and_precision_where_they_are_no_default(
    spec: RunSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    show_crosscheck(spec, [contender("native", range(50))], None)
    plain = capsys.readouterr().out.splitlines()[0]
    assert "target" not in plain
    assert "precision" not in plain
    show_crosscheck(replace(spec, target="least-likely", precision="bfloat16"), [contender("native", range(50))], None)
    assert "seed 0; target least-likely, precision bfloat16, " in capsys.readouterr().out.splitlines()[0]


def test_a_contender_without_numbers_beats_nobody_and_native_without_numbers_is_beaten() -> None:
    broken = Contender(backend="foolbox", version="1.0", error="left the ball")
    comparison = compared(contender("native", range(50)), broken)
    assert (comparison.beaten, comparison.remarks) == (False, ["foolbox: left the ball"])
    assert compared(replace(broken, backend="native"), contender("foolbox", range(50))).beaten


@pytest.mark.parametrize(("theirs", "code"), [(95, 1), (50, 0), (5, 0)])
def test_the_exit_code_says_whether_native_is_beaten(
    spec: RunSpec, capsys: pytest.CaptureFixture[str], theirs: int, code: int
) -> None:
    contenders = [
        contender("native", range(50)),
        contender("torchattacks", range(50)),
        contender("foolbox", range(theirs)),
    ]
    assert show_crosscheck(spec, contenders, None) == code
    assert ("! native is beaten" in capsys.readouterr().out) is bool(code)


def test_native_without_numbers_ends_in_one(spec: RunSpec, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_crosscheck(spec, [Contender(backend="native", version="", error="left the ball")], None) == 1
    assert "no numbers" in capsys.readouterr().out
