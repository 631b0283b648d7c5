"""Exact steady state of finite queues with exponential service: M/M/1/K, M/M/c/K and Erlang B.

Rates are in 1/s and times in s. The capacity K counts every job at the device, those in service
included.

References:
    Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2008, ch. 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.waiting_room import log_load, room_loss, room_waiting
from datagen.errors import require

__all__ = ["erlang_b", "mm1k", "mmck"]

Array = NDArray[np.float64]


def erlang_b(servers: ArrayLike, offered_load: ArrayLike) -> Array:
    """Return the Erlang loss formula, the loss of M/G/c/c for every service law.

    Args:
        servers: Number of servers c, whole numbers >= 1, any shape.
        offered_load: Arrival rate times mean service time [erlang], >= 0, same or broadcast shape.

    Returns:
        Probability that all servers are busy, in [0, 1), broadcast shape.

    Raises:
        InvalidInputError: If a number of servers is below one or a load is negative.

    Example:
        >>> round(float(erlang_b(2, 1.0)), 3)
        0.2
    """
    count, load = np.broadcast_arrays(
        np.asarray(servers, dtype=np.float64), np.asarray(offered_load, dtype=np.float64)
    )
    require(bool(np.all(count >= 1)), "servers", "be >= 1", servers)
    require(bool(np.all(load >= 0)), "offered_load", "be >= 0", offered_load)
    blocking = np.ones(load.shape)
    # B(n) = a B(n-1) / (n + a B(n-1)) from B(0) = 1; elements with fewer servers stop earlier.
    for number in range(1, int(count.max(initial=0)) + 1):
        busy = load * blocking
        blocking = np.where(number <= count, busy / (number + busy), blocking)
    return blocking


def mm1k(arrival_rate: float, service_rate: float, capacity: int) -> FiniteQueueMeasures:
    """Return the steady-state measures of an M/M/1/K queue.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        service_rate: Exponential service rate [1/s], > 0.
        capacity: K, jobs the device holds, the one in service included, >= 1.

    Returns:
        The measures; ``mean_jobs == throughput * mean_latency`` by Little's law.

    Raises:
        InvalidInputError: If a rate is not positive or the capacity is below one.

    Example:
        >>> round(mm1k(1.0, 1.0, 4).loss_probability, 6)
        0.2
    """
    return mmck(arrival_rate, service_rate, 1, capacity)


def mmck(
    arrival_rate: float, service_rate: float, servers: int, capacity: int
) -> FiniteQueueMeasures:
    """Return the steady-state measures of an M/M/c/K queue.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        service_rate: Exponential service rate of each server [1/s], > 0.
        servers: Number of servers c, >= 1.
        capacity: K, jobs the device holds, those in service included, >= c.

    Returns:
        The measures; ``mean_jobs == throughput * mean_latency`` by Little's law.

    Raises:
        InvalidInputError: If a rate is not positive, there is no server, or K < c.
    """
    require(arrival_rate > 0, "arrival_rate", "be > 0", arrival_rate)
    require(service_rate > 0, "service_rate", "be > 0", service_rate)
    require(servers >= 1, "servers", "be >= 1", servers)
    require(capacity >= servers, "capacity", f"be >= {servers}", capacity)
    load = arrival_rate / (service_rate * servers)
    blocking = erlang_b(servers, load * servers)
    room = np.asarray(float(capacity - servers))
    loss = float(room_loss(log_load(load), blocking, room))
    waiting = float(room_waiting(log_load(load), blocking, room))
    return FiniteQueueMeasures.of(
        arrival_rate=arrival_rate,
        loss_probability=loss,
        mean_jobs=load * servers * (1.0 - loss) + waiting,
        load=load,
    )
