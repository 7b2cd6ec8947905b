"""The sides of Theorem 1's identity and of bound (6), evaluated on samples.

Source: supplement A. With f(X) the true label, one-hot, and C(Z) the class probabilities that the classifier gives a
code, both are statements about any distributions, hence also about those of two samples, where they hold exactly and
every infimum is a finite transport problem. `labels` are those of n images; `outputs` are C(z) for n codes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.paper.studies.transport import Array, assignment_cost, squared_distances, transport_cost

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """An inequality, left <= middle <= right, in squared Euclidean distance between class distributions.

    middle: None where there is nothing between.
    """

    left: float
    middle: float | None = None
    right: float

    @property
    def slack(self) -> float:
        """Right minus left; negative where the inequality is violated."""
        return self.right - self.left


def identity_sides(labels: Labels, outputs: Array) -> Sides:
    """Theorem 1 for U = C(Z), the two sides found by different algorithms.

    Args:
        labels: (n,) true classes.
        outputs: (n, classes).

    Returns:
        left: transport between the distribution of labels and that of C(Z), a linear program over their atoms;
        right: the best pairing of images and codes, E l(f(X), C(Z)) over all couplings of X and Z.
    """
    classes, counts = _label_atoms(labels, outputs.shape[1])
    left = transport_cost(squared_distances(classes, outputs), counts, np.ones(len(outputs)))
    one_hot = np.eye(outputs.shape[1])[labels]  # (n, classes)
    return Sides(left=left, right=assignment_cost(squared_distances(one_hot, outputs)))


def signed_noise_sides(labels: Labels, outputs: Array, signs: Array, sigma: float, infimum: float) -> Sides:
    """Bound (6) for a classifier whose output, given z, is C(z) + sigma s or C(z) - sigma s, at even chances.

    So its mean given z is C(z) and each of its variances sigma squared, exactly and for all z: what (6) assumes.

    Args:
        labels: (n,) true classes.
        outputs: (n, classes).
        signs: (n, classes), s for every z, each -1 or 1.
        sigma: standard deviation of each output.
        infimum: of E |f(X) - C(Z)|^2 over all couplings of X and Z, `identity_sides(labels, outputs).right`.

    Returns:
        left: transport between labels and U; middle: the same where U is independent of X given Z; right: the bound.
    """
    atoms = outputs[:, None] + sigma * np.stack([signs, -signs], axis=1)  # (n, 2, classes)
    classes, counts = _label_atoms(labels, outputs.shape[1])
    costs = squared_distances(classes, atoms.reshape(-1, outputs.shape[1])).reshape(len(classes), -1, 2)
    variances = ((atoms - atoms.mean(axis=1, keepdims=True)) ** 2).mean(axis=(0, 1))  # (classes,)
    return Sides(
        left=transport_cost(costs.reshape(len(classes), -1), 2 * counts, np.ones(2 * len(outputs))),
        middle=transport_cost(costs.mean(axis=2), counts, np.ones(len(outputs))),
        right=float(variances.sum()) + infimum,
    )


def drawn_label_sides(labels: Labels, outputs: Array, infimum: float) -> Sides:
    """Bound (6) for a classifier that answers with one label, drawn from the probabilities C(z).

    All drawn labels enter with their probabilities: nothing is sampled. The variances p(1 - p) depend on z, which (6)
    does not allow for; their average over z takes the place of the constant ones.

    Args:
        labels: (n,) true classes.
        outputs: (n, classes), rows that sum to 1.
        infimum: as for `signed_noise_sides`.

    Returns:
        As `signed_noise_sides`.
    """
    classes, counts = _label_atoms(labels, outputs.shape[1])
    between = squared_distances(classes, np.eye(outputs.shape[1]))  # (classes that occur, classes)
    variances = (outputs * (1 - outputs)).mean(axis=0)  # (classes,)
    return Sides(
        left=transport_cost(between, counts, outputs.sum(axis=0)),
        middle=transport_cost(between @ outputs.T, counts, np.ones(len(outputs))),
        right=float(variances.sum()) + infimum,
    )


def encoder_sides(labels: Labels, encoded_outputs: Array) -> Sides:
    """What a trained encoder attains, above the least that any coupling with its own distribution of codes allows.

    Args:
        labels: (n,) true classes.
        encoded_outputs: (n, classes), C(Q(x)) for the same images.

    Returns:
        left: transport between labels and C(Q(X)); right: E l(f(X), C(Q(X))). With Q's codes distributed as the
        prior, the left side would be that of Theorem 1.
    """
    classes, counts = _label_atoms(labels, encoded_outputs.shape[1])
    left = transport_cost(squared_distances(classes, encoded_outputs), counts, np.ones(len(labels)))
    one_hot = np.eye(encoded_outputs.shape[1])[labels]
    return Sides(left=left, right=float(((one_hot - encoded_outputs) ** 2).sum(axis=1).mean()))


def _label_atoms(labels: Labels, classes: int) -> tuple[Array, Array]:
    """The one-hot labels that occur, (m, classes), and how often each does, (m,)."""
    counts = np.bincount(labels, minlength=classes)
    return np.eye(classes)[counts > 0], counts[counts > 0].astype(np.float64)
