"""What the embeddings say, in sentences. The paper shows them as pictures alone, so ours stand by themselves."""

from bench.paper.studies.clusters import Clusters
from bench.record import Record


def findings_of(plain: tuple[Record, Clusters], regularized: tuple[Record, Clusters]) -> tuple[str, ...]:
    """Does the regularizer act, does it help, and where do adversarial images go?

    Args:
        plain: the run of the network without the regularizer, and how its embedding lies.
        regularized: of the one with it.
    """
    without, acting = _distance(plain[0]), _distance(regularized[0])
    nearer = "nearer to" if acting < without else "no nearer to"
    return (
        f"the regularizer brings the embedding {nearer} its prior: squared MMD {acting:.3f} with it, {without:.3f} "
        "without",
        f"with it {_robust(regularized[0])} stay right under PGD and {_robust(plain[0])} without",
        f"the attack moves an image by {_moved(regularized[1])} with it and by {_moved(plain[1])} without",
        _where(regularized[1]),
    )


def _distance(record: Record) -> float:
    return float(record.metrics["embedding"]["squared_mmd"])


def _robust(record: Record) -> str:
    rate = record.rate("robust_accuracy")
    return f"{rate.successes} of {rate.n} images" if rate else "none"


def _moved(clusters: Clusters) -> str:
    return f"{clusters.moved:.2f} ({clusters.in_centers(clusters.moved):.2f} of the distance between class centers)"


def _where(clusters: Clusters) -> str:
    clean, adversarial = clusters.clean_within, clusters.adversarial_within
    shares = f"{100 * adversarial:.1f} % of adversarial points and {100 * clean:.1f} % of clean ones lie within"
    meaning = "so they are not to be found by their low density under the prior" if adversarial >= clean else ""
    return f"{shares} the circle that holds 95 % of the prior{', ' + meaning if meaning else ''}"
