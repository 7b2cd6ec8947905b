"""Ours beside the paper's: verdicts at the edges of the interval, and what is bold."""

import pytest

from bench.metrics.over_seeds import NOTHING, Estimate
from bench.paper.comparison import BETTER, EQUAL, UNKNOWN, WORSE, Comparison, decimal, percent
from bench.paper.contract import Entry

OURS = Estimate(value=0.75, low=0.5, high=0.875, n=100, seeds=1)


@pytest.mark.parametrize(
    ("paper", "verdict", "difference"),
    [
        (0.5 - 1e-9, BETTER, "+25.0 ▲"),
        (0.5, EQUAL, "+25.0 ="),
        (0.75, EQUAL, "+0.0 ="),
        (0.875, EQUAL, "−12.5 ="),
        (0.875 + 1e-9, WORSE, "−12.5 ▼"),
        (1.0, WORSE, "−25.0 ▼"),
    ],
)
def test_the_verdict_turns_beyond_the_ends_of_the_interval(paper: float, verdict: str, difference: str) -> None:
    compared = Comparison(ours=OURS, paper=paper)
    assert compared.verdict == verdict
    ours, theirs, delta = compared.entries()
    assert ours == Entry(text="75.0 [50.0, 87.5]")
    assert theirs == Entry(text=f"{100 * paper:.2f}")
    assert delta == Entry(text=difference, bold=verdict in ("better", "worse"))


def test_where_the_paper_has_no_number() -> None:
    compared = Comparison(ours=OURS, paper=None)
    assert compared.verdict == UNKNOWN
    assert compared.entries() == (Entry(text="75.0 [50.0, 87.5]"), Entry(text="–"), Entry(text="–"))


def test_where_we_have_no_number() -> None:
    compared = Comparison(ours=NOTHING, paper=0.6381)
    assert compared.verdict == UNKNOWN
    assert compared.entries() == (Entry(text="n/a"), Entry(text="63.81"), Entry(text="–"))


def test_numbers_in_words() -> None:
    assert percent(NOTHING) == decimal(NOTHING) == "n/a"
    alone = Estimate(value=0.8649, low=None, high=None, n=0, seeds=1)
    assert percent(alone) == "86.5"
    assert decimal(alone) == "0.86"
    assert decimal(Estimate(value=1.5, low=-0.25, high=3.25, n=0, seeds=3), 1) == "1.5 [-0.2, 3.2]"
