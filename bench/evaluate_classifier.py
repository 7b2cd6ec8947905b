"""A bare classifier under attack."""

import pandas as pd

from bench.exhibits import Studio
from bench.findings import Findings, attack_notes
from bench.judge import judge
from bench.metrics.classification import attack_metrics, classification_metrics
from bench.protocol import Sets
from bench.stations import Clock


def evaluate_classifier(studio: Studio, sets: Sets, clock: Clock) -> Findings:
    """Attack and judge the test set; a classifier has no set I."""
    spec, classifier = studio.spec, studio.fitted.classifier
    with clock.station("craft"):
        clean = studio.clean("test", sets.test)
        adversarial = studio.adversarial(clean, spec.attack, spec.attack_config, spec.target)
    with clock.station("judge"):
        frames = [judge(classifier, None, exhibit) for exhibit in (clean, adversarial)]
        outcomes = pd.concat(frames, ignore_index=True)
    return Findings(
        outcomes=outcomes,
        metrics=classification_metrics(outcomes) | attack_metrics(outcomes),
        detector={},
        notes=attack_notes(outcomes),
        exhibits=[clean, adversarial],
    )
