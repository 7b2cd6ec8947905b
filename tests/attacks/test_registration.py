"""The table of named parts: duplicates, near names, and parts from other packages."""

from dataclasses import dataclass

import pytest

from attacks import registration
from attacks.errors import RequestError
from attacks.registration import Registry


@dataclass(frozen=True)
class Part:
    name: str
    summary: str = "a part"
    source: str = "here"


class Point:
    """What `importlib.metadata.entry_points` gives: something that loads an object."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def load(self) -> Part:
        return self.part


def _registry(*names: str) -> Registry[Part]:
    return Registry("part", "erbench.parts", tuple(Part(name) for name in names))


def _plugins(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    """Pretend that another package adds these parts; returns the groups that were asked for."""
    groups: list[str] = []

    def entry_points(*, group: str) -> list[Point]:
        groups.append(group)
        return [Point(Part(name)) for name in names]

    monkeypatch.setattr(registration, "entry_points", entry_points)
    return groups


def test_order_is_that_of_registration() -> None:
    registry = _registry("pgd", "cw", "fgsm")
    assert registry.names() == [part.name for part in registry] == ["pgd", "cw", "fgsm"]
    assert "cw" in registry
    assert "CW" not in registry
    assert registry.get("cw") == Part("cw")


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(RequestError, match="the part 'pgd' is registered twice"):
        _registry("pgd", "cw", "pgd")
    registry = _registry("pgd")
    with pytest.raises(RequestError, match="twice"):
        registry.add(Part("pgd", summary="another"))
    assert registry.get("pgd").summary == "a part"


@pytest.mark.parametrize("wrong", ["fgms", "FGSM", "fgsmm"])
def test_an_unknown_name_suggests_the_near_one(wrong: str) -> None:
    with pytest.raises(RequestError, match=r"unknown part '.*'; did you mean 'fgsm'\? known: pgd, cw, fgsm$"):
        _registry("pgd", "cw", "fgsm").get(wrong)


def test_a_name_like_none_suggests_nothing() -> None:
    with pytest.raises(RequestError) as caught:
        _registry("pgd", "cw").get("deepfool")
    assert "did you mean" not in str(caught.value)
    assert "known: pgd, cw" in str(caught.value)


def test_parts_of_other_packages_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = _plugins(monkeypatch, "theirs")
    registry = _registry("ours")
    assert groups == []  # not before somebody asks
    assert registry.names() == ["ours", "theirs"]
    assert registry.get("theirs") == Part("theirs")
    assert "theirs" in registry
    assert groups == ["erbench.parts"]


def test_a_part_of_another_package_cannot_take_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _plugins(monkeypatch, "ours")
    with pytest.raises(RequestError, match="twice"):
        _registry("ours").names()
