"""A cached thing knows the code that made it. Expected: what Python's grammar says is the same program."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from small_runs import CLASSIFICATION, Finished

from attacks.fgsm import FGSM
from attacks.registry import ATTACKS
from bench.api import run
from bench.code_version import _collect, _source, code_version
from defenses.registry import DEFENSES


@pytest.fixture
def version_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The version of a function in a module of this text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def version(text: str) -> str:
        (tmp_path / "plugged_in.py").write_text(text)
        sys.modules.pop("plugged_in", None)
        _source.cache_clear()
        import linecache

        linecache.clearcache()
        import plugged_in  # type: ignore[import-not-found]

        return code_version(partial(plugged_in.attack, 1))

    return version


def test_code_counts_and_comments_do_not(version_of: Callable[[str], str]) -> None:
    first = version_of("def attack(x):\n    return x + 1\n")
    assert version_of("# a remark\n\ndef attack( x ):\n    return x + 1  # one\n") == first
    assert version_of("def attack(x):\n    return x + 2\n") != first


def test_what_is_imported_counts() -> None:
    modules: set[str] = set()
    _collect("defenses.classifiers.er_classifier", modules)
    assert {"defenses.training.regularizers", "defenses.networks.mnist", "defenses.priors", "attacks.pgd"} <= modules
    assert "attacks.errors" not in modules  # a message


def test_every_entry_has_a_version_of_its_own_kind() -> None:
    versions = {name: code_version(ATTACKS.get(name).attack) for name in ("fgsm", "pgd", "cw")}
    assert len(set(versions.values())) == 3
    assert code_version(DEFENSES.get("kd").fit) != code_version(DEFENSES.get("lid").fit)  # type: ignore[union-attr]


def test_a_record_of_other_code_is_made_again(
    finished: Finished, stored: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {**CLASSIFICATION, "attack": "fgsm"}
    del options["steps"]  # of pgd alone
    (before,) = run(results_dir=stored, **options)

    def nothing(_logits_of: object, images: Any, *_rest: object) -> Any:
        return images.clone()

    monkeypatch.setitem(ATTACKS._entries, "fgsm", replace(FGSM, attack=nothing))
    (after,) = run(results_dir=stored, **options)
    assert "made by other code" in caplog.text
    assert before.number("median_linf") == pytest.approx(0.3, abs=1e-5)
    assert after.metrics["reached"]["successes"] == 0  # the edited attack does nothing, and the record says so
