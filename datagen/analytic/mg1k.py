"""Exact steady state of the M/G/1/K queue: Poisson arrivals, any service law, one FCFS server.

The jobs left behind by departures form a Markov chain on 0..K-1. Balancing the flow over each cut
between {0..j} and {j+1..K-1} gives its weights by a recursion without one subtraction,

    q[j+1] P(A = 0) = q[0] P(A > j) + sum over i = 1..j of q[i] P(A > j + 1 - i),

where A counts the arrivals in one service; summing the cuts gives the jobs lost per departure,

    lost = q[0] E[(A - (K-1))+] + sum over i = 1..K-1 of q[i] E[(A - (K-i))+],

again without a subtraction. So a loss of 1e-200 is as accurate as one of 0.1. The loss probability
is lost / (served + lost), and the time-average probabilities below K are q / (served + lost).

K counts the job in service. Rates are in 1/s and times in s.

References:
    Takagi, Queueing Analysis, vol. 2: Finite Systems, 1993, ch. 5.
    Ramaswami, A stable recursion for the steady state vector in Markov chains of M/G/1 type,
    Stochastic Models 4, 1988.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.analytic.arrival_counts import ArrivalCounts, deterministic_counts
from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.errors import require

__all__ = ["CapacityWeights", "capacity_sweep", "md1k", "mg1k"]

Array = NDArray[np.float64]

_RESCALE_ABOVE = 1e150
"""Weights grow like e^(load * j) in an overloaded queue; at this size all are scaled down. One more
step multiplies by at most 1 / P(A = 0) <= 1e87 at the largest load, which still is a float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityWeights:
    """Unnormalized steady state for one capacity K and a batch of R queues."""

    capacity: int
    """K, the job in service included."""
    below: Array
    """Weights of 0..K-1 jobs, shape [R, K]."""
    full: Array
    """Weight of K jobs, shape [R]."""


def capacity_sweep(counts: ArrivalCounts, capacities: Sequence[int]) -> Iterator[CapacityWeights]:
    """Yield the steady state for each of several capacities from one recursion.

    Args:
        counts: Arrivals per service of a batch of queues, shape [R].
        capacities: Increasing capacities, each in [1, ``counts.capacity``].

    Yields:
        Weights for each capacity in turn; scaled alike within a row, not between capacities.
    """
    rows = counts.none.shape[0]
    weights = np.zeros((rows, counts.capacity))
    weights[:, 0] = 1.0
    known = 1
    for capacity in capacities:
        for j in range(known - 1, capacity - 1):
            _extend(weights, counts, j)
        known = capacity
        below = weights[:, :capacity].copy()
        full = below[:, 0] * counts.excess[:, capacity - 1]
        full += _dot(below[:, 1:], counts.excess[:, capacity - 1 : 0 : -1])
        yield CapacityWeights(capacity=capacity, below=below, full=full)


def mg1k(arrival_rate: float, counts: ArrivalCounts) -> FiniteQueueMeasures:
    """Return the steady-state measures of an M/G/1/K queue.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        counts: Law of the arrivals in one service for this rate, shape []; its capacity is K.

    Returns:
        The measures; ``mean_jobs == throughput * mean_latency`` by Little's law.

    Raises:
        InvalidInputError: If the rate is not positive or the counts are of several queues.

    Example:
        >>> from datagen.analytic.arrival_counts import gamma_counts
        >>> round(mg1k(1.0, gamma_counts(1.0, 1.0, capacity=4)).loss_probability, 6)
        0.2
    """
    require(arrival_rate > 0, "arrival_rate", "be > 0", arrival_rate)
    require(counts.load.ndim == 0, "counts", "be of one queue", counts.load.shape)
    batch = ArrivalCounts(
        load=counts.load[None],
        none=counts.none[None],
        exceed=counts.exceed[None],
        excess=counts.excess[None],
    )
    capacity = counts.capacity
    (state,) = capacity_sweep(batch, [capacity])
    below, full = state.below[0], float(state.full[0])
    total = float(below.sum()) + full
    return FiniteQueueMeasures.of(
        arrival_rate=arrival_rate,
        loss_probability=full / total,
        mean_jobs=(float(np.arange(capacity) @ below) + capacity * full) / total,
        load=float(counts.load),
    )


def md1k(arrival_rate: float, service_time: float, capacity: int) -> FiniteQueueMeasures:
    """Return the steady-state measures of an M/D/1/K queue.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        service_time: Constant service time [s], > 0.
        capacity: K, jobs the device holds, the one in service included, >= 1.

    Returns:
        The measures; ``mean_jobs == throughput * mean_latency`` by Little's law.

    Raises:
        InvalidInputError: If an argument is out of range.
    """
    require(arrival_rate > 0, "arrival_rate", "be > 0", arrival_rate)
    require(service_time > 0, "service_time", "be > 0", service_time)
    return mg1k(arrival_rate, deterministic_counts(arrival_rate * service_time, capacity))


def _extend(weights: Array, counts: ArrivalCounts, j: int) -> None:
    """Fill column j + 1 of the weights [R, K] from the columns before it."""
    up = weights[:, 0] * counts.exceed[:, j]
    up += _dot(weights[:, 1 : j + 1], counts.exceed[:, j:0:-1])
    weights[:, j + 1] = up / counts.none
    large = weights[:, j + 1] > _RESCALE_ABOVE
    if large.any():
        weights[large, : j + 2] /= weights[large, j + 1, None]


def _dot(left: Array, right: Array) -> Array:
    return np.asarray(np.einsum("rk,rk->r", left, right), dtype=np.float64)
