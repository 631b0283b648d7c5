"""Steady state of a finite Markov chain in continuous time, without one subtraction.

States are eliminated from the last to the first; what is left is the chain watched only while it is
in the remaining states. As nothing is ever subtracted, a probability of 1e-200 is as accurate as
one of 0.1.

References:
    Grassmann, Taksar and Heyman, Regenerative analysis and steady state distributions for Markov
    chains, Operations Research 33, 1985.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.errors import require

__all__ = ["stationary"]

Array = NDArray[np.float64]


def stationary(rates: ArrayLike) -> Array:
    """Return the long-run share of time in each state.

    Args:
        rates: Rate from state i (row) to state j (column) [1/s], shape [N, N], >= 0; the diagonal
            is not read. From every state a path must lead to state 0.

    Returns:
        Probabilities [N]; 0 for states that are left for ever.

    Raises:
        InvalidInputError: If the rates are not square, not >= 0, or do not lead to state 0.

    Example:
        >>> stationary([[0.0, 1.0], [3.0, 0.0]])
        array([0.75, 0.25])
    """
    flow = np.array(rates, dtype=np.float64)
    square = flow.ndim == 2 and flow.shape[0] == flow.shape[1] and flow.size > 0
    require(square, "rates", "be a square matrix", flow.shape)
    proper = bool(np.all(np.isfinite(flow) & (flow >= 0)))
    require(proper, "rates", "be finite and >= 0", "other values")
    for state in range(len(flow) - 1, 0, -1):
        down = flow[state, :state]
        leaving = float(down.sum())
        require(leaving > 0, "rates", "lead from every state to state 0", f"state {state}")
        flow[:state, state] /= leaving
        flow[:state, :state] += np.outer(flow[:state, state], down)
    weights = np.zeros(len(flow))
    weights[0] = 1.0
    for state in range(1, len(flow)):
        weights[state] = weights[:state] @ flow[:state, state]
        # Overloaded queues grow geometrically; scaling now and then keeps float64 in range.
        if weights[state] > 1.0:
            weights[: state + 1] /= weights[state]
    return np.asarray(weights / weights.sum())
