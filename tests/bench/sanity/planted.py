"""Evaluations of a small honest network of the digits, and of what is planted in one: broken models, attacks, rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.contract import AttackEntry, craft
from attacks.draws import Draws
from attacks.errors import ModelError
from attacks.goal import Goal
from attacks.pgd import PGD, PgdConfig
from bench.canonical import plain
from bench.datasets.contract import Dataset, LoadRequest
from bench.datasets.registry import load_dataset
from bench.metrics.detection import detection_metrics
from bench.sanity.contract import Case, Check
from bench.sanity.examine import OK, Verdict, examine
from bench.sanity.registry import CHECKS
from bench.threats import THREATS

COUNT = 30  # images attacked
BUDGET = PgdConfig(epsilon=0.1, step_size=0.01, steps=20)
BY_NAME = {check.name: check for check in CHECKS}
Change = Callable[[Case], Case]


@cache
def digits() -> Dataset:
    return load_dataset("digits", LoadRequest(data_dir=Path("nowhere")))


@cache
def trained() -> nn.Sequential:
    """Two layers with batch normalization, trained plainly on the training split: 97 % right, in about a second."""
    data, generator = digits().train, Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(8):
        for batch in torch.randperm(len(data), generator=generator).split(50):
            optimizer.zero_grad()
            cross_entropy(network(data.images(batch)), data.labels[batch]).backward()
            optimizer.step()
    return network.eval().requires_grad_(False)


class Around(nn.Module):
    """A model made of the honest network: (network, images) -> outputs."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.outputs = trained(), forward
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.outputs(self.network, images)


def case_of_model(
    model: nn.Module, *, entry: AttackEntry = PGD, config: Any = BUDGET, attacks: bool = True, count: int = COUNT
) -> Case:
    """An evaluation of a model under an attack; without attacks, or where it is refused, images stay as they are."""
    data = digits()
    ids = torch.arange(count)
    images, labels = data.test.images(ids), data.test.labels[ids]
    goal, adversarial, metrics = Goal(classes=labels), images, {}
    vanished = torch.zeros(count, dtype=torch.bool)
    if attacks:
        try:
            crafted = craft(entry, model, images, goal, config, Draws(seed=0, sample_ids=ids))
            adversarial, vanished = crafted.images, crafted.vanished
        except ModelError:
            pass
    with torch.no_grad():
        everything = model(data.test.images())
        predictions, after = everything[:count].argmax(dim=1), model(adversarial)
    clean = rows("clean", ids, labels, predictions)
    attacked = rows("adversarial", ids, labels, after.argmax(dim=1), goal=goal, margin=goal.margin(after))
    if bool(vanished.any()):
        attacked = attacked.assign(gradient=["vanished" if one else "followed" for one in vanished.tolist()])
        metrics["gradients_vanish"] = {
            "successes": int(vanished.sum()),
            "n": count,
            "value": float(vanished.float().mean()),
        }
    return Case(
        model=model,
        images=images,
        labels=labels,
        sample_ids=ids,
        adversarial=adversarial,
        goal=goal,
        entry=entry,
        config=config,
        backend="native",
        threat=THREATS["digits"],
        outcomes=pd.concat([clean, attacked], ignore_index=True),
        metrics=metrics,
        test=data.test,
        correct=everything.argmax(dim=1) == data.test.labels,
        train=data.train,
        classes=10,
        seed=0,
        is_watched=False,
    )


def rows(
    kind: str,
    ids: Tensor,
    labels: Tensor,
    predictions: Tensor,
    *,
    goal: Goal | None = None,
    margin: Tensor | None = None,
) -> pd.DataFrame:
    """Rows of set II as the judge writes them."""
    return pd.DataFrame(
        {
            "sample_id": ids.numpy(),
            "role": "test",
            "kind": kind,
            "label": labels.numpy(),
            "prediction": predictions.numpy(),
            "correct": (predictions == labels).numpy(),
            "goal_class": goal.classes.numpy() if goal else -1,
            "reached": (margin > 0).numpy() if margin is not None else False,
        }
    )


@cache
def honest() -> Case:
    """The honest network under PGD."""
    return case_of_model(trained())


def watched(probability: Callable[[pd.DataFrame], Any] | None = None) -> Case:
    """The honest network behind a detector that ranks most adversarial images above clean ones."""
    case = honest()
    generator = Generator().manual_seed(1)
    outcomes = case.outcomes.assign(score_density=0.0, judged=True)
    drawn = torch.rand(len(outcomes), generator=generator).numpy() * 0.49
    outcomes["probability"] = drawn + 0.5 * (outcomes["kind"] == "adversarial")
    if probability is not None:
        outcomes["probability"] = probability(outcomes)
    outcomes["flagged"] = outcomes["probability"] >= 0.5
    metrics = plain(detection_metrics(outcomes))
    return replace(case, outcomes=outcomes, metrics=metrics, is_watched=True, _kept={})


def verdict(case: Case, name: str) -> Verdict:
    """What the check called `name` says of a case."""
    check: Check = BY_NAME[name]
    (found,) = examine(case, [check])
    return found


def is_raised(case: Case, name: str) -> bool:
    """Whether the check says, with evidence, that something is wrong; it must have an opinion."""
    found = verdict(case, name)
    assert found.why == ""
    assert (found.flag is None) == (found.status == OK)
    return found.flag is not None and found.flag.name == name


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """A broken evaluation, the flag it deserves, and its honest twin."""

    flag: str
    broken: Callable[[], Case]
    twin: Callable[[], Case] = honest
