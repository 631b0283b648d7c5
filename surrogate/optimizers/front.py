"""The Pareto front: what no other candidate beats in every objective."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surrogate.optimizers.goal import EXCEEDED
from surrogate.optimizers.space import Placements

__all__ = ["Front", "crowding", "nondominated"]

Floats = NDArray[np.float64]

MOST_POINTS = 100
"""Points that are kept while searching; of more, the ones in the densest places go."""


DIGITS = 4
"""Digits in which values that are told apart differ."""


def nondominated(values: Floats) -> NDArray[np.bool_]:
    """Tell which points no other point dominates.

    A point dominates another if it is nowhere worse and somewhere better.

    Args:
        values: Values [N, M], lower is better.

    Returns:
        Flags [N]; equal points do not dominate each other.

    Example:
        >>> nondominated(np.array([[0.0, 2.0], [1.0, 1.0], [1.0, 3.0]])).tolist()
        [True, True, False]
    """
    nowhere_worse = (values[:, None] <= values[None]).all(axis=2)
    somewhere_better = (values[:, None] < values[None]).any(axis=2)
    return np.asarray(~(nowhere_worse & somewhere_better).any(axis=0))


def crowding(values: Floats) -> Floats:
    """Return how far the neighbours of each point of a front are apart.

    Args:
        values: Values [N, M].

    Returns:
        Crowding distances [N]; infinity for the best and the worst of any objective.

    References:
        Deb, Pratap, Agarwal and Meyarivan, A fast and elitist multiobjective genetic algorithm:
        NSGA-II, IEEE Transactions on Evolutionary Computation 6, 2002, section III.B.
    """
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        distance[order[[0, -1]]] = np.inf
        span = column[order[-1]] - column[order[0]]
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def _distinct(values: Floats) -> NDArray[np.int64]:
    """Return the first of the points that are alike in every objective [K].

    Boards of one kind make many placements of one value; a front of copies shows nothing.
    """
    mantissa, exponent = np.frexp(values)
    alike = np.concatenate([np.round(mantissa, DIGITS), exponent], axis=1)
    return np.sort(np.unique(alike, axis=0, return_index=True)[1])


class Front:
    """Keeps the nondominated of what was seen, misfits and what exceeds a limit left out.

    Args:
        slots: Length of a placement.
        objectives: Number of objectives.
    """

    def __init__(self, slots: int, objectives: int) -> None:
        self.placements: Placements = np.empty((0, slots), dtype=np.int32)
        self.values: Floats = np.empty((0, objectives))

    def add(self, placements: Placements, values: Floats) -> None:
        """Take in evaluated placements.

        Args:
            placements: Device index per slot [B, F].
            values: Their values [B, M], without NaN.
        """
        proper = (values < EXCEEDED).all(axis=1)
        pool = np.concatenate([self.placements, placements[proper]])
        pool_values = np.concatenate([self.values, values[proper]])
        _, first = np.unique(pool, axis=0, return_index=True)
        first.sort()
        pool, pool_values = pool[first], pool_values[first]
        best = np.flatnonzero(nondominated(pool_values))
        best = best[_distinct(pool_values[best])]
        while len(best) > MOST_POINTS:  # one by one: all of a dense place would go at once
            best = np.delete(best, np.argmin(crowding(pool_values[best])))
        self.placements, self.values = pool[best], pool_values[best]

    def spread(self, count: int) -> Placements:
        """Return points spread over the front.

        Args:
            count: The most to return.

        Returns:
            Placements [N, F], by rising first objective.
        """
        order = np.argsort(self.values[:, 0], kind="stable")
        if len(order) > count:
            order = order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)]
        return np.asarray(self.placements[order])
