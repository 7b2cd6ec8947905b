"""The fourth station, and the only one that decides: correct, reached, flagged.

Everything is computed anew in float32 from the images as stored; an attack's own word counts for nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from attacks.errors import AttackError, named_images
from attacks.goal import Goal, reached
from attacks.norms import l2_distance, linf_distance
from bench.inference import logits_of_all, require_finite_logits
from defenses.contract import Classifier, Detector
from defenses.detectors.decision import Decision

MARGIN_ROUNDING = 1e-3  # logit units: what float32 sums differ by between batch shapes and machines
PIXEL_ROUNDING = 1e-5
FLAG_FROM = 0.5  # probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """Images of one role and kind, as stored.

    role, kind: see `bench.outcomes`.
    sample_ids, labels: (n,) int64.
    images: (n, c, h, w) float32 in [0, 1]; clean: the images they came from.
    logits: (n, classes) float32 of clean images, where they were computed for the whole test split; None otherwise.
    goal: of the attack; None for clean and noisy images.
    config: of the attack, for its confidence and budget; None likewise.
    made_by: for attacks with members, the one that made each image; empty elsewhere.
    """

    role: str
    kind: str
    sample_ids: Tensor
    labels: Tensor
    images: Tensor
    clean: Tensor
    logits: Tensor | None = None
    goal: Goal | None = None
    config: Any = None
    made_by: tuple[str, ...] = ()


def judge(classifier: nn.Module, detector: Detector | None, exhibit: Exhibit) -> pd.DataFrame:
    """One row an image, without the detector's verdict, which `decide` adds.

    Raises:
        AttackError: images lie outside [0, 1] or outside the attack's L-infinity ball.
        ModelError: logits are NaN or infinite.
    """
    _require_bounds(exhibit)
    logits = logits_of_all(classifier, exhibit.images) if exhibit.logits is None else exhibit.logits
    require_finite_logits(logits, exhibit.sample_ids)
    predictions = logits.argmax(dim=1)
    labels = exhibit.labels.to(predictions.device)
    count = len(labels)
    l2 = l2_distance(exhibit.images, exhibit.clean)
    if exhibit.goal is None:
        goal_class, margin = torch.full((count,), -1), torch.full((count,), torch.nan)
        is_reached = torch.zeros(count, dtype=torch.bool)
    else:
        goal_class, margin = exhibit.goal.classes, exhibit.goal.margin(logits)
        confidence = getattr(exhibit.config, "confidence", 0.0)
        is_reached = reached(margin, max(0.0, confidence - MARGIN_ROUNDING))
        max_l2 = getattr(exhibit.config, "max_l2", None)
        if max_l2 is not None and not _keeps_one_budget(exhibit.config):
            is_reached &= l2 <= max_l2 + PIXEL_ROUNDING
    columns: dict[str, Any] = {
        "sample_id": _numpy(exhibit.sample_ids),
        "role": exhibit.role,
        "kind": exhibit.kind,
        "label": _numpy(labels),
        "prediction": _numpy(predictions),
        "correct": _numpy(predictions == labels),
        "goal_class": _numpy(goal_class),
        "margin": _numpy(margin),
        "reached": _numpy(is_reached),
        "l2": _numpy(l2),
        "linf": _numpy(linf_distance(exhibit.images, exhibit.clean)),
    }
    if exhibit.made_by:
        is_broken = columns["reached"] | ~columns["correct"]
        columns["broken_by"] = np.where(is_broken, np.array(exhibit.made_by, dtype=object), "")
    if detector is not None:
        assert isinstance(classifier, Classifier)
        scores = _numpy(detector.scores(classifier, exhibit.images, predictions))  # (n, scores)
        columns |= {f"score_{name}": scores[:, i] for i, name in enumerate(detector.score_names)}
    return pd.DataFrame(columns)


def decide(outcomes: pd.DataFrame, decision: Decision, *, only_reached: bool) -> pd.DataFrame:
    """Add the detector's verdict: `probability`, `flagged`, and `judged`.

    Args:
        outcomes: all rows of a detector's run.
        decision: the fitted logistic regression.
        only_reached: adversarial images that missed the confidence do not count in set II (high-confidence test
            sets under the sound protocol).
    """
    probability = decision.probability(scores_of(outcomes))
    counts = ~(outcomes["kind"] == "adversarial") | outcomes["reached"] | (outcomes["role"] == "fit")
    return outcomes.assign(
        probability=probability,
        flagged=probability >= FLAG_FROM,
        judged=counts if only_reached else True,
    )


def scores_of(outcomes: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The detector's scores, (rows, scores) float64."""
    columns = [column for column in outcomes.columns if column.startswith("score_")]
    return outcomes[columns].to_numpy(dtype=np.float64)


def _require_bounds(exhibit: Exhibit) -> None:
    images = exhibit.images
    if len(images) == 0:
        return
    inside = ((images >= 0) & (images <= 1)).flatten(1).all(dim=1)  # NaN is not inside
    if not bool(inside.all()):
        raise AttackError(
            f"{exhibit.kind} images of set '{exhibit.role}' leave [0, 1]; nothing is counted{_which(exhibit, ~inside)}"
        )
    epsilon = getattr(exhibit.config, "epsilon", None)
    if epsilon is None:
        return
    distance = linf_distance(images, exhibit.clean)
    outside = distance > epsilon + PIXEL_ROUNDING
    if _keeps_one_budget(exhibit.config):
        outside &= l2_distance(images, exhibit.clean) > exhibit.config.max_l2 + PIXEL_ROUNDING
    if bool(outside.any()):
        raise AttackError(
            f"adversarial images are {float(distance.max()):.4f} from the clean ones, the budget is {epsilon}; "
            f"nothing is counted{_which(exhibit, outside)}"
        )


def _keeps_one_budget(config: Any) -> bool:
    """Whether images may leave the L-infinity ball within the L2 limit, and the other way round."""
    return bool(getattr(config, "keeps_one_budget", False))


def _which(exhibit: Exhibit, wrong: Tensor) -> str:
    return f" (test images {named_images(exhibit.sample_ids[wrong.cpu()].tolist())})"


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()
