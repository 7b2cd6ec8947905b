"""A bare classifier under attack. How many images reach the goal is told of those it got right before."""

import pandas as pd

from attacks.registry import ATTACKS
from bench.exhibits import Studio
from bench.findings import Findings, attack_notes
from bench.judge import judge
from bench.metrics.classification import attack_metrics, classification_metrics
from bench.metrics.detection import Metrics
from bench.metrics.members import member_metrics
from bench.outcomes import select, stacked
from bench.protocol import Sets
from bench.spec import RunSpec
from bench.stations import Clock
from bench.vanishing import vanishing_metrics, vanishing_note, with_gradients


def evaluate_classifier(studio: Studio, sets: Sets, clock: Clock) -> Findings:
    """Attack and judge the test set; a classifier has no set I."""
    spec, classifier = studio.spec, studio.fitted.classifier
    with clock.station("craft"):
        clean = studio.clean("test", sets.test)
        adversarial, crafted = studio.attacked(clean)
    with clock.station("judge"):
        frames = [judge(classifier, None, exhibit) for exhibit in (clean, adversarial)]
        outcomes = stacked(frames)
        outcomes = with_gradients(outcomes, crafted.vanished.numpy(), studio.unmet(adversarial).numpy())
    right = _of_right_images(outcomes)
    return Findings(
        outcomes=outcomes,
        metrics=classifier_metrics(outcomes),
        detector={},
        notes=attack_notes(right, spec.attack_config)
        + vanishing_note(outcomes, follows_gradients=ATTACKS.get(spec.attack).follows_gradients)
        + _strictness_note(spec, right),
        stored={"test": crafted.keys},
        trace=crafted.trace,
        exhibits=[clean, adversarial],
    )


def classifier_metrics(outcomes: pd.DataFrame) -> Metrics:
    """Every number that follows from the rows of a classifier's run."""
    of_attack = attack_metrics(_of_right_images(outcomes)) | vanishing_metrics(outcomes)
    return classification_metrics(outcomes) | of_attack | member_metrics(outcomes)


def _of_right_images(outcomes: pd.DataFrame) -> pd.DataFrame:
    """The rows of images that the classifier got right before they were attacked."""
    return outcomes[outcomes["sample_id"].isin(select(outcomes, kind="clean").query("correct")["sample_id"])]


def _strictness_note(spec: RunSpec, outcomes: pd.DataFrame) -> list[str]:
    """An attack that asks for more than a wrong answer finds fewer of them, which flatters the classifier."""
    missed = int((~select(outcomes, kind="adversarial")["reached"]).sum())
    is_strict = spec.confidence > 0 or getattr(spec.attack_config, "max_l2", None) is not None
    if not is_strict or missed == 0:
        return []
    return [
        f"{missed} images missed the confidence or the L2 limit, came back clean and count as robust: robust accuracy "
        "is overstated. Attack with --confidence 0 and no --max-l2 to measure it"
    ]
