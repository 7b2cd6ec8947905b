"""The paper's tables as data, and its detection numbers, looked up by what a run is.

Source: supplement, transcribed: Tables 3 to 5 (`tables_3_4_5.csv`) and Table 6 (`table_6.csv`), in percentages;
Tables 1, 7 and 8 (`table_1.csv`, `table_7.csv`, `table_8.csv`). The discriminator, which G describes in a sentence, is
a column of Table 8.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

TABLE_2 = {"mnist": {"er1": 4, "er2": 13}, "cifar10": {"er1": 16, "er2": 17}}  # final, estimated intrinsic


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A cell of the paper. table: its number; acc_nadv, acc_com: shares in [0, 1]."""

    table: str
    acc_nadv: float
    acc_com: float


def published_for(spec: dict[str, Any]) -> Published | None:
    """The paper's numbers for a run spec (plain JSON, as in records); None where it has none.

    A run at the confidence of Tables 3 to 5 is matched by training attack; any other by Table 6, which we read as
    trained on the attack it is tested on.
    """
    detector = spec["detector"]
    if detector is None or not _is_the_papers(spec["dataset"], detector["name"], spec["classifier"]["config"]):
        return None
    confidence = float(spec["attack_config"].get("confidence", 0))
    if spec["attack"] == "cw" and confidence > 0:
        return _high_confidence().get((spec["dataset"], detector["train_attack"], confidence, detector["name"]))
    if detector["train_attack"] != spec["attack"]:
        return None
    return _table_6().get((spec["dataset"], spec["attack"], detector["name"]))


def _is_the_papers(dataset: str, method: str, config: dict[str, Any]) -> bool:
    """Whether a method was fitted as the paper's, by our reading of ER1 and ER2."""
    if config["adversarial"] or config.get("prior", "gaussian") != "gaussian":
        return False
    if "regularizer" not in config:  # the baseline network
        return True
    sizes = TABLE_2.get(dataset)
    return (
        config["regularizer"] == ("none" if method.endswith("-minus") else "adversarial")
        and sizes is not None
        and config["embedding_dim"] == sizes["er2" if method.startswith("er2") else "er1"]
    )


@cache
def _high_confidence() -> dict[tuple[str, str, float, str], Published]:
    return {
        (row["dataset"], row["train_attack"], float(row["confidence"]), row["method"]): _cell(row["table"], row)
        for row in rows("tables_3_4_5.csv")
    }


@cache
def _table_6() -> dict[tuple[str, str, str], Published]:
    return {(row["dataset"], row["attack"], row["method"]): _cell("6", row) for row in rows("table_6.csv")}


def _cell(table: str, row: dict[str, str]) -> Published:
    return Published(table=table, acc_nadv=float(row["acc_nadv"]) / 100, acc_com=float(row["acc_com"]) / 100)


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a transcribed table by the name of its file, one dict a row, every value as printed."""
    with files("bench.paper").joinpath(name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
