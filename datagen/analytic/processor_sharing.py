"""Processor sharing: all jobs at a device are served at once, each at an equal share of the speed.

The number of jobs depends on the service law through its mean only, with unlimited room and with a
finite buffer alike (a symmetric queue), so it is that of an exponential FCFS queue; and a job of
twice the work stays twice as long on average. Rates are in 1/s and times in s; K counts every job
at the device.

References:
    Kelly, Reversibility and Stochastic Networks, 1979, ch. 3 (symmetric queues).
    Kleinrock, Queueing Systems, vol. 2, 1976, ch. 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.markovian import mmck
from datagen.analytic.slowed_servers import mmck_slowed
from datagen.errors import require

__all__ = ["mg1_ps_latency", "mgck_ps"]

Array = NDArray[np.float64]


def mg1_ps_latency(arrival_rate: float, mean_service: float, work: ArrayLike) -> Array:
    """Return the mean latency of jobs of given works in M/G/1 with unlimited room.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        mean_service: Mean service time of all jobs [s], > 0; the load must stay below 1.
        work: Service times of the jobs asked for [s], >= 0, any shape; the mean service for the
            mean latency of all.

    Returns:
        Mean latencies [s], same shape.

    Raises:
        InvalidInputError: If an argument is out of range or the load is not below 1.

    Example:
        >>> mg1_ps_latency(0.5, 1.0, [0.5, 1.0, 2.0])
        array([1., 2., 4.])
    """
    require(arrival_rate > 0, "arrival_rate", "be > 0", arrival_rate)
    require(mean_service > 0, "mean_service", "be > 0", mean_service)
    load = arrival_rate * mean_service
    require(load < 1, "load", "be < 1", load)
    length = np.asarray(work, dtype=np.float64)
    require(bool(np.all(length >= 0)), "work", "be >= 0", work)
    return np.asarray(length / (1.0 - load))


def mgck_ps(
    arrival_rates: ArrayLike,
    mean_services: ArrayLike,
    servers: int,
    capacity: int,
    speedup: Sequence[float] | None = None,
) -> tuple[FiniteQueueMeasures, ...]:
    """Return the measures of each class where c servers share their speed among up to K jobs.

    With n jobs present each is served at speed min(1, c / n), whatever its class and service law,
    times the relative speed of the busy servers.

    Args:
        arrival_rates: Poisson arrival rate of each class [1/s] [C], > 0.
        mean_services: Mean service time of each class [s] [C], > 0.
        servers: Number of servers c, >= 1.
        capacity: K, jobs of all classes that the device holds, >= c.
        speedup: Relative speed of each server with 1, 2, ... of them busy, > 0 [c]; None for 1.

    Returns:
        The measures of each class; ``utilization`` is the class's share of the servers' time.

    Raises:
        InvalidInputError: If an argument is out of range.
    """
    rates = np.asarray(arrival_rates, dtype=np.float64)
    means = np.asarray(mean_services, dtype=np.float64)
    one_each = rates.shape == means.shape and rates.ndim == 1 and rates.size > 0
    require(one_each, "mean_services", "be one per class", means.shape)
    require(bool(np.all(rates > 0)), "arrival_rates", "be > 0", arrival_rates)
    require(bool(np.all(means > 0)), "mean_services", "be > 0", mean_services)
    total, work = float(rates.sum()), float(rates @ means)
    if speedup is None:
        queue = mmck(total, total / work, servers, capacity)
    else:
        require(len(speedup) == servers, "speedup", f"hold {servers} values", speedup)
        queue = mmck_slowed(total, total / work, speedup, capacity)
    found = []
    for rate, share in zip(rates.tolist(), (rates * means / work).tolist(), strict=True):
        throughput = rate * (1.0 - queue.loss_probability)
        jobs = queue.mean_jobs * share
        found.append(
            FiniteQueueMeasures(
                loss_probability=queue.loss_probability,
                throughput=throughput,
                mean_jobs=jobs,
                mean_latency=jobs / throughput,
                utilization=queue.utilization * share,
            )
        )
    return tuple(found)
