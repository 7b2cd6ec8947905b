"""Exact optimal transport between samples, in two ways that share no code: a linear program and an assignment.

Source: Peyré and Cuturi 2019, arXiv:1803.00567, sections 2.3 (assignment) and 3.1 (linear program).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def squared_distances(points: Array, others: Array) -> Array:
    """(m, d) and (n, d) -> (m, n) squared Euclidean distances."""
    squares = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    return np.asarray(np.maximum(squares - 2 * points @ others.T, 0.0))


def transport_cost(costs: Array, masses: Array, other_masses: Array) -> float:
    """Least mean cost of moving one distribution onto another, over all couplings, as a linear program.

    Args:
        costs: (m, n), of moving a unit from atom i to atom j.
        masses: (m,) of the first distribution's atoms; whole numbers keep the program free of rounding.
        other_masses: (n,) of the second's, of the same total.

    Returns:
        The cost a unit of mass.

    Raises:
        ValueError: the totals differ.
        ArithmeticError: the solver finds no optimum.
    """
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    total = float(masses.sum())
    if not np.isclose(total, other_masses.sum(), rtol=1e-12):
        raise ValueError(f"masses add up to {total} and {other_masses.sum()}: nothing moves one onto the other")
    m, n = costs.shape
    leaves = kron(eye_array(m), np.ones((1, n)))  # row i sums what atom i gives
    arrives = kron(np.ones((1, m)), eye_array(n))  # row j sums what atom j gets
    solved = linprog(
        costs.ravel(),
        A_eq=vstack([leaves, arrives]).tocsr(),
        b_eq=np.concatenate([masses, other_masses * (total / other_masses.sum())]),
        method="highs-ds",  # the simplex method ends at a vertex, hence exactly
    )
    if solved.status != 0:
        raise ArithmeticError(f"the transport program has no optimum: {solved.message}")
    return float(solved.fun) / total


def assignment_cost(costs: Array) -> float:
    """Least mean cost of pairing n points with n others one to one: (n, n) -> the mean over pairs.

    By Birkhoff's theorem no coupling of the two uniform distributions is cheaper than the best pairing.

    Raises:
        ValueError: the numbers of points differ.
    """
    from scipy.optimize import linear_sum_assignment

    if costs.shape[0] != costs.shape[1]:
        raise ValueError(f"{costs.shape[0]} points cannot be paired one to one with {costs.shape[1]}")
    return float(costs[linear_sum_assignment(costs)].mean())
