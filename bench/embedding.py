"""Does the regularizer act? The distance of an embedding to its prior, beside the unregularized encoder's."""

from dataclasses import replace
from typing import Any

from torch import Generator

from bench.datasets.contract import Dataset
from bench.fitting import FittedClassifier, fit_classifier
from bench.metrics.two_sample import squared_mmd
from bench.spec import ClassifierSpec
from bench.workspace import Workspace
from defenses.classifiers.er_classifier import without_regularizer
from defenses.contract import Classifier, device_of
from defenses.detectors.kernel_density import represent_all
from defenses.priors import sample_prior
from defenses.training.embedding_regularized import EmbeddingConfig

MOST_IMAGES = 1000  # of the test split; the statistic costs their square


def fit_twin(spec: ClassifierSpec, dataset: Dataset, workspace: Workspace) -> FittedClassifier | None:
    """Fit or find what `twin_of` names; None where there is nothing to compare with."""
    twin = twin_of(spec)
    return fit_classifier(twin, dataset, workspace) if twin else None


def twin_of(spec: ClassifierSpec) -> ClassifierSpec | None:
    """The same seed and training without the regularizer; None where there is no regularizer."""
    config = spec.config
    if not isinstance(config, EmbeddingConfig) or config.regularizer == "none":
        return None
    return replace(spec, name="e-cla", config=without_regularizer(config))


def embedding_distance(
    spec: ClassifierSpec, fitted: FittedClassifier, twin: FittedClassifier | None, dataset: Dataset
) -> dict[str, Any]:
    """How the embedding of test images lies to the prior.

    Args:
        spec: of the classifier; one without an embedding gives {}.
        fitted: the classifier.
        twin: the same without its regularizer (`fit_twin`).
        dataset: its test images are embedded.

    Returns:
        `prior`, `squared_mmd`, `std` and `mean` (averages over axes), and, for a regularized encoder,
        `squared_mmd_unregularized` and `std_unregularized`.
    """
    config = spec.config
    if not isinstance(config, EmbeddingConfig):
        return {}
    result: dict[str, Any] = {"prior": config.prior} | _statistics(fitted, config, dataset)
    if twin is not None:
        other = _statistics(twin, config, dataset)
        result |= {f"{name}_unregularized": other[name] for name in ("squared_mmd", "std")}
    return result


def _statistics(fitted: FittedClassifier, config: EmbeddingConfig, dataset: Dataset) -> dict[str, float]:
    images = dataset.test.images(slice(MOST_IMAGES)).to(device_of(fitted.network))
    embedding = represent_all(Classifier.embedding, fitted.network, images).cpu()  # (n, d)
    prior = sample_prior(config.prior, (len(embedding), config.embedding_dim), Generator().manual_seed(0))
    return {
        "squared_mmd": squared_mmd(embedding, prior),
        "std": float(embedding.std(dim=0).mean()),
        "mean": float(embedding.mean(dim=0).abs().mean()),
    }
