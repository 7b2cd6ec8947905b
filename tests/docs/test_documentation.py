"""What the documents promise exists: every option they name, every file they link, the example they show."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.main import get_command

from attacks.contract import craft
from attacks.draws import Draws
from attacks.goal import Goal
from bench.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/what-the-paper-leaves-open.md",
    "docs/verifying.md",
    "docs/threats.md",
    "docs/adaptive.md",
    "docs/sanity.md",
)
OTHER_PROGRAMS = {"--strict"}  # mypy's


def known_options() -> set[str]:
    def of(command: Any) -> set[str]:
        inner = [of(one) for one in getattr(command, "commands", {}).values()]
        return {name for parameter in command.params for name in parameter.opts}.union(*inner)

    return of(get_command(app))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_option_named_exists(document: str) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]*", (ROOT / document).read_text(encoding="utf-8")))
    assert named
    assert named - OTHER_PROGRAMS - {"--help"} <= known_options()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_somewhere(document: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (ROOT / document).parent.joinpath(link).exists()]
    assert missing == []


def test_the_attack_shown_to_contributors_works() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    entry = names["SIGNS"]
    images = torch.full((3, 1, 4, 4), 0.5)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 10)).eval()
    draws = Draws(seed=0, sample_ids=torch.arange(3))
    goal = Goal(classes=torch.zeros(3, dtype=torch.int64))
    crafted = craft(entry, model, images, goal, entry.config(epsilon=0.1), draws)
    torch.testing.assert_close(crafted.linf, torch.full((3,), 0.1))
