"""The table of checks: unique names, all of them documented, the cheap ones first."""

from pathlib import Path

from bench.sanity.contract import DEFAULT, DOCTOR
from bench.sanity.registry import CHECKS, DEFAULTS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sanity.md"


def test_names_are_unique_and_every_check_says_what_and_what_to_do() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names) >= 20
    for check in CHECKS:
        assert check.summary
        assert check.source
        assert check.advice.endswith(".")
        assert check.spoils


def test_the_cheap_ones_come_first() -> None:
    costs = [check.cost for check in CHECKS]
    assert costs == sorted(costs, key=[DEFAULT, DOCTOR].index)
    assert [check.name for check in DEFAULTS] == [check.name for check in CHECKS if check.cost == DEFAULT]


def test_the_page_names_every_flag_under_its_cost() -> None:
    text = PAGE.read_text(encoding="utf-8")
    cheap, costly = text.split("## With `bench doctor` in addition")
    for check in CHECKS:
        assert f"| `{check.name}` |" in (cheap if check.cost == DEFAULT else costly)
