"""Mean waits under non-preemptive priorities: Cobham's formula, and the chain of a finite buffer.

Classes are listed from the highest priority to the lowest, first come first served within a class.
Rates are in 1/s and times in s. K counts every job at the device, the one in service included; a
job that finds K others is lost, whatever its class.

References:
    Cobham, Priority assignment in waiting line problems, Operations Research 2, 1954.
    Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2008, ch. 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.markov_chain import stationary
from datagen.errors import require

__all__ = ["mg1_priority_waits", "mm1k_priority"]

Array = NDArray[np.float64]
State = tuple[tuple[int, ...], int]
"""Jobs at the device by class, and the class in service (0 where there is none)."""


def mg1_priority_waits(
    arrival_rates: ArrayLike, mean_services: ArrayLike, service_scvs: ArrayLike
) -> Array:
    """Return the mean time in line of each class of an M/G/1 queue with unlimited room.

    Args:
        arrival_rates: Poisson arrival rate of each class [1/s] [C], > 0, highest priority first.
        mean_services: Mean service time of each class [s] [C], > 0.
        service_scvs: Squared coefficient of variation of each service time [C], >= 0.

    Returns:
        Mean waits, service not included [s] [C].

    Raises:
        InvalidInputError: If an argument is out of range or the loads do not stay below 1.

    Example:
        >>> mg1_priority_waits([0.25, 0.25], [1.0, 1.0], [1.0, 1.0]).round(4)
        array([0.6667, 1.3333])
    """
    rates = _positive("arrival_rates", arrival_rates)
    means = _positive("mean_services", mean_services)
    scvs = np.asarray(service_scvs, dtype=np.float64)
    require(bool(np.all(scvs >= 0)), "service_scvs", "be >= 0", service_scvs)
    one_each = rates.shape == means.shape == scvs.shape and rates.ndim == 1
    require(one_each, "mean_services", "be one per class, like the SCVs", means.shape)
    upto = np.cumsum(rates * means)
    require(upto[-1] < 1, "loads", "sum to less than 1", float(upto[-1]))
    residual = float(rates @ (means**2 * (1.0 + scvs))) / 2.0
    above = upto - rates * means
    return np.asarray(residual / ((1.0 - above) * (1.0 - upto)))


def mm1k_priority(
    arrival_rates: ArrayLike, service_rates: ArrayLike, capacity: int
) -> tuple[FiniteQueueMeasures, ...]:
    """Return the measures of each class of a finite queue with exponential services.

    The chain has about C K^C / C! states: fit for tests, not for searches.

    Args:
        arrival_rates: Poisson arrival rate of each class [1/s] [C], > 0, highest priority first.
        service_rates: Exponential service rate of each class [1/s] [C], > 0.
        capacity: K, jobs of all classes that the device holds, >= 1.

    Returns:
        The measures of each class; all classes lose the same share.

    Raises:
        InvalidInputError: If an argument is out of range.
    """
    arriving = _positive("arrival_rates", arrival_rates)
    serving = _positive("service_rates", service_rates)
    one_each = arriving.shape == serving.shape and arriving.ndim == 1
    require(one_each, "service_rates", "be one per class", serving.shape)
    require(capacity >= 1, "capacity", "be >= 1", capacity)
    states = list(_states(arriving.size, capacity))
    index = {state: number for number, state in enumerate(states)}
    rates = np.zeros((len(states), len(states)))
    for (jobs, served), row in index.items():
        if sum(jobs) < capacity:
            for kind, rate in enumerate(arriving):
                now_served = served if any(jobs) else kind
                rates[row, index[_plus(jobs, kind, 1), now_served]] += rate
        if any(jobs):
            left = _plus(jobs, served, -1)
            rates[row, index[left, _first_of(left)]] += serving[served]
    probability = stationary(rates)
    present = np.array([jobs for jobs, _ in states])
    loss = float(probability[present.sum(axis=1) == capacity].sum())
    return tuple(
        FiniteQueueMeasures.of(
            arrival_rate=rate, loss_probability=loss, mean_jobs=mean, load=rate / service
        )
        for rate, mean, service in zip(
            arriving.tolist(), (probability @ present).tolist(), serving.tolist(), strict=True
        )
    )


def _states(classes: int, capacity: int) -> Iterator[State]:
    for jobs in itertools.product(range(capacity + 1), repeat=classes):
        if not any(jobs):
            yield jobs, 0
        elif sum(jobs) <= capacity:
            yield from ((jobs, kind) for kind in range(classes) if jobs[kind])


def _plus(jobs: tuple[int, ...], kind: int, change: int) -> tuple[int, ...]:
    return (*jobs[:kind], jobs[kind] + change, *jobs[kind + 1 :])


def _first_of(jobs: tuple[int, ...]) -> int:
    """Return the highest class that is present, 0 where none is."""
    return next((kind for kind, count in enumerate(jobs) if count), 0)


def _positive(name: str, values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    require(array.size > 0 and bool(np.all(array > 0)), name, "be > 0", values)
    return array
