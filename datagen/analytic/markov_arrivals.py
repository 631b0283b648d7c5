"""Exact steady state of MAP/M/1/K: correlated or bursty arrivals, exponential service.

The state is the number of jobs and the phase of the arrival process. Jobs do not see time averages
here: a burst finds the queue that it has filled itself, so the loss is counted at arrivals. Rates
are in 1/s and times in s; K counts every job at the device, the one in service included.

References:
    Neuts, Matrix-Geometric Solutions in Stochastic Models, 1981, ch. 5.
"""

from __future__ import annotations

import numpy as np

from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.markov_chain import stationary
from datagen.arrivals import MarkovArrivals
from datagen.errors import require

__all__ = ["mapm1k"]


def mapm1k(arrivals: MarkovArrivals, service_rate: float, capacity: int) -> FiniteQueueMeasures:
    """Return the steady-state measures of a MAP/M/1/K queue.

    Args:
        arrivals: The arrival process; each of its phases must be reached from every other.
        service_rate: Exponential service rate [1/s], > 0.
        capacity: K, jobs the device holds, the one in service included, >= 1.

    Returns:
        The measures; ``loss_probability`` is the fraction of the arriving jobs.

    Raises:
        InvalidInputError: If an argument is out of range.

    Example:
        >>> poisson = MarkovArrivals(d0=((-1.0,),), d1=((1.0,),))
        >>> round(mapm1k(poisson, 1.0, 4).loss_probability, 6)
        0.2
    """
    require(service_rate > 0, "service_rate", "be > 0", service_rate)
    require(capacity >= 1, "capacity", "be >= 1", capacity)
    silent, arriving = np.array(arrivals.d0), np.array(arrivals.d1)
    np.fill_diagonal(silent, 0.0)
    levels = np.eye(capacity + 1)
    up, down = np.eye(capacity + 1, k=1), np.eye(capacity + 1, k=-1)
    rates = np.kron(levels, silent) + np.kron(up, arriving)
    rates += service_rate * np.kron(down, np.eye(len(silent)))
    rates[-len(silent) :, -len(silent) :] += arriving  # a lost job may still change the phase
    probability = stationary(rates).reshape(capacity + 1, len(silent))
    offered = float((probability @ arriving).sum())
    lost = float((probability[-1] @ arriving).sum())
    return FiniteQueueMeasures.of(
        arrival_rate=offered,
        loss_probability=lost / offered,
        mean_jobs=float(np.arange(capacity + 1) @ probability.sum(axis=1)),
        load=offered / service_rate,
    )
