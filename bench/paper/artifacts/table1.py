"""Table 1: the attack that min-max training trains against, as it is configured, beside the paper's.

Source: supplement, C.1, Table 1, which gives epsilon and iterations; the step size is in the author's code alone. The
supplement says that Madry's adversarial training and the ER-Classifier share these parameters, so both are asked.
"""

from collections.abc import Mapping
from typing import Any

from attacks.pgd import PgdConfig
from bench.canonical import content_hash
from bench.paper.contract import ArtifactEntry, Column, Entry, Made, PaperRequest, PaperTable, Row
from bench.paper.desk import Desk
from bench.paper.published import rows
from defenses.contract import BuildRequest, ClassifierEntry
from defenses.networks.registry import FAMILIES
from defenses.registry import DEFENSES
from defenses.training.recipes import recipe_for

TRAINED_ON_PGD = ("madry", "er-classifier-at")
_ABSENT = "–"


def disagreements(family: str, recipe: PgdConfig, configured: Mapping[str, PgdConfig | None]) -> list[str]:
    """One sentence for each defense, by name, that is configured with another attack than the recipe's."""
    return [
        f"On the networks of {family}, {name} trains on {attack}, not on the recipe's {recipe}."
        for name, attack in configured.items()
        if attack != recipe
    ]


def _make(desk: Desk) -> Made:
    published = {row["dataset"]: row for row in rows("table_1.csv")}
    data, disagreeing = [], list[str]()
    for family in FAMILIES.names():
        attack = _of_recipe(family, desk.request)
        configured = {name: _of_defense(name, family, desk.request) for name in TRAINED_ON_PGD}
        disagreeing += disagreements(family, attack, configured)
        data.append(_datum(family, desk.request.recipe, attack, published.get(family)))
    return Made(
        title="Parameters of adversarial training in force",
        table=PaperTable(columns=_COLUMNS, blocks=(tuple(_row(datum) for datum in data),)),
        data=tuple(data),
        findings=(*_findings(data), *(disagreeing or [f"{' and '.join(TRAINED_ON_PGD)} are both configured so."])),
        counted=f"{len(data)} network families",
        legend="Bold differs from the paper; – where it has no such dataset",
        keys=tuple(content_hash(datum) for datum in data),
    )


def _of_recipe(family: str, request: PaperRequest) -> PgdConfig:
    return recipe_for(request.recipe, family).adversary_at(request.settings.get("train_epsilon"))


def _of_defense(name: str, family: str, request: PaperRequest) -> PgdConfig | None:
    entry = DEFENSES.get(name)
    assert isinstance(entry, ClassifierEntry)
    options = {option: value for option, value in request.settings.items() if option in entry.options}
    attack: PgdConfig | None
    attack = entry.configure(BuildRequest(family=family, recipe=request.recipe, options=options)).adversarial
    return attack


def _datum(family: str, recipe: str, attack: PgdConfig, paper: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "family": family,
        "recipe": recipe,
        "epsilon": attack.epsilon,
        "paper_epsilon": float(paper["epsilon"]) if paper else None,
        "iterations": attack.steps,
        "paper_iterations": int(paper["iterations"]) if paper else None,
        "step_size": attack.step_size,
        "restarts": attack.restarts,
    }


_COLUMNS = (
    Column(title="Networks"),
    Column(title="ours", groups=("epsilon",)),
    Column(title="paper", groups=("epsilon",)),
    Column(title="ours", groups=("Iterations",)),
    Column(title="paper", groups=("Iterations",)),
    Column(title="Step size"),
)


def _row(datum: Mapping[str, Any]) -> Row:
    return (
        Entry(text=datum["family"]),
        *_beside(datum["epsilon"], datum["paper_epsilon"]),
        *_beside(datum["iterations"], datum["paper_iterations"]),
        Entry(text=f"{datum['step_size']:g}"),
    )


def _beside(ours: float, paper: float | None) -> tuple[Entry, Entry]:
    if paper is None:
        return Entry(text=f"{ours:g}"), Entry(text=_ABSENT)
    return Entry(text=f"{ours:g}", bold=ours != paper), Entry(text=f"{paper:g}")


def _findings(data: list[dict[str, Any]]) -> list[str]:
    compared = [datum for datum in data if datum["paper_epsilon"] is not None]
    findings = []
    for name, words in (("epsilon", "values of epsilon"), ("iterations", "numbers of iterations")):
        differing = [datum for datum in compared if datum[name] != datum[f"paper_{name}"]]
        told = "; ".join(f"{row['family']} {row[name]:g} for {row[f'paper_{name}']:g}" for row in differing)
        where = f"differ on {len(differing)} of the paper's {len(compared)} datasets: {told}"
        findings.append(
            f"Our {words} {where if differing else f'are those of all {len(compared)} datasets of the paper'}."
        )
    absent = [datum["family"] for datum in data if datum["paper_epsilon"] is None]
    return [*findings, f"The paper has no parameters for {', '.join(absent)}."] if absent else findings


TABLE1 = ArtifactEntry(
    name="table1",
    summary="parameters of adversarial training in force, for every family of networks",
    source="supplement C.1, Table 1",
    has_seeds=False,
    make=_make,
)
