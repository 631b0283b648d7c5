"""Fast loss and mean jobs of the M/G/c/K queue from load, variability and capacity; arrays in, out.

An M/G/1/K queue loses about as much as an M/M/1 queue with another waiting room: a room times
2/(1 + scv) in heavy traffic. ``datagen.analytic.md1k_table`` holds the exact ratio of the rooms for
scv = 0; for scv = 1 it is 1. Between and beyond, 1/ratio is linear in a weight w(scv) with w(0) = 0
and w(1) = 1, as the diffusion limit has it for w = scv. Waiting jobs are the closed form at that
room times a ratio that is linear in a weight too, which is Pollaczek and Khinchine's formula for
unlimited room. With several servers the first places to wait see little of the service law (a job
leaves after the shortest of c remaining services), so the ratios of one server act on the places
beyond a few; exponential service, and no waiting room (Erlang B), stay exact.

Every loss is that of some queue: in [max(0, 1 - 1/load), 1), continuous, and monotone in load,
capacity and scv. Mean jobs are in [busy servers, K] and rise with load and
with K >= c, but for dips of 0.05 % of their value (0.5 % with several servers).

Largest relative error in loss and in mean jobs, for one server, K >= 2, losses above 1e-6:

==============================  ===================  ===================  ===================
exact law of service            load 0.05..0.35      load 0.35..0.65      load 0.65..8
==============================  ===================  ===================  ===================
constant                        0.02 % and 0.001 %   0.03 % and 0.002 %   0.03 % and 0.07 %
gamma, scv 0.25 to 2            17 % and 0.8 %       7 % and 1.2 %        1 % and 1.2 %
gamma, scv 4                    13 % and 3 %         7 % and 4 %          3 % and 3 %
==============================  ===================  ===================  ===================

With 2 to 8 servers and Erlang service of scv 0.25 or 0.5: 8 %, 4 % and 4 % in loss, 1 % in jobs.
Two moments do not fix small losses: heavy-tailed service loses more than gamma service of equal
scv (lognormal, scv 0.5, loads 0.65 to 1.15: median 2 %, worst 44 % near a loss of 1e-6).

References:
    Tijms, A First Course in Stochastic Models, 2003, ch. 9 (interpolation on the scv).
    Whitt, Approximations for the GI/G/m queue, Production and Operations Management 2, 1993.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.analytic.md1k_table import MD1KTable, grid, table
from datagen.analytic.queue_kernel import (
    LOSS_SHIFT,
    LOSS_SMALL_ROOM,
    OFF_LOAD_ONE,
    SHIFT_EXPONENT,
    WAITING_SHIFT,
    WAITING_SMALL_ROOM,
    fill_queues,
)
from datagen.errors import require

__all__ = [
    "LOSS_SHIFT",
    "LOSS_SMALL_ROOM",
    "OFF_LOAD_ONE",
    "SHIFT_EXPONENT",
    "WAITING_SHIFT",
    "WAITING_SMALL_ROOM",
    "MD1KTable",
    "loss_and_jobs",
    "loss_probability",
    "loss_probability_multi",
    "mean_jobs",
    "mean_jobs_multi",
    "table",
]

Array = NDArray[np.float64]


def loss_probability(load: ArrayLike, scv: ArrayLike, capacity: ArrayLike) -> Array:
    """Return the loss probability of M/G/1/K.

    Args:
        load: Arrival rate times mean service time, >= 0; exact limits outside [1e-6, 1e3].
        scv: Squared coefficient of variation of the service time, >= 0; fitted up to 10.
        capacity: K, real, >= 1, the job in service included; infinity where unlimited.

    Returns:
        Loss probability, in [max(0, 1 - 1/load), 1), broadcast shape.

    Raises:
        InvalidInputError: If a value is out of range or NaN.

    Example:
        >>> loss_probability([0.5, 1.0, 2.0], 0.0, 5).round(4)
        array([0.0022, 0.1034, 0.5003])
    """
    return loss_and_jobs(load, scv, capacity)[0]


def mean_jobs(load: ArrayLike, scv: ArrayLike, capacity: ArrayLike) -> Array:
    """Return the mean number of jobs in M/G/1/K, the one in service included.

    Args:
        load: Arrival rate times mean service time, >= 0.
        scv: Squared coefficient of variation of the service time, >= 0; fitted up to 10.
        capacity: K, real, >= 1, the job in service included; infinity where unlimited.

    Returns:
        Mean jobs, in [0, K]; infinity where unlimited and load >= 1; broadcast shape.

    Raises:
        InvalidInputError: If a value is out of range or NaN.
    """
    return loss_and_jobs(load, scv, capacity)[1]


def loss_probability_multi(
    load: ArrayLike, scv: ArrayLike, capacity: ArrayLike, servers: ArrayLike
) -> Array:
    """Return the loss probability of M/G/c/K; exact for scv = 1 and for K <= c.

    Args:
        load: Arrival rate times mean service time over servers, >= 0.
        scv: Squared coefficient of variation of the service time, >= 0; fitted up to 10.
        capacity: K, real, >= 1, jobs in service included; infinity where unlimited.
        servers: Number of servers c, whole numbers >= 1.

    Returns:
        Loss probability, in [max(0, 1 - 1/load), 1), broadcast shape.

    Raises:
        InvalidInputError: If a value is out of range or NaN.
    """
    return loss_and_jobs(load, scv, capacity, servers)[0]


def mean_jobs_multi(
    load: ArrayLike, scv: ArrayLike, capacity: ArrayLike, servers: ArrayLike
) -> Array:
    """Return the mean number of jobs in M/G/c/K, those in service included.

    Args:
        load: Arrival rate times mean service time over servers, >= 0.
        scv: Squared coefficient of variation of the service time, >= 0; fitted up to 10.
        capacity: K, real, >= 1, jobs in service included; infinity where unlimited.
        servers: Number of servers c, whole numbers >= 1.

    Returns:
        Mean jobs, in [0, K]; infinity where unlimited and load >= 1; broadcast shape.

    Raises:
        InvalidInputError: If a value is out of range or NaN.
    """
    return loss_and_jobs(load, scv, capacity, servers)[1]


def loss_and_jobs(
    load: ArrayLike, scv: ArrayLike, capacity: ArrayLike, servers: ArrayLike = 1
) -> tuple[Array, Array]:
    """Return loss probability and mean jobs of M/G/c/K together, at the cost of one.

    Args:
        load: Arrival rate times mean service time over servers, >= 0.
        scv: Squared coefficient of variation of the service time, >= 0; fitted up to 10.
        capacity: K, real, >= 1, jobs in service included; infinity where unlimited.
        servers: Number of servers c, whole numbers >= 1; those beyond K never work.

    Returns:
        Loss probability and mean jobs, broadcast shapes; see the functions for each.

    Raises:
        InvalidInputError: If a value is out of range or NaN.
    """
    rho, variability, limit, count = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (load, scv, capacity, servers))
    )
    require(bool(np.all(rho >= 0)), "load", "be >= 0", load)
    require(bool(np.all(variability >= 0)), "scv", "be >= 0", scv)
    require(bool(np.all(limit >= 1)), "capacity", "be >= 1", capacity)
    require(bool(np.all(count >= 1)), "servers", "be >= 1", servers)
    loss, jobs = np.empty(rho.shape), np.empty(rho.shape)
    loads, scvs, rooms, numbers = (
        np.array(values).ravel() for values in (rho, variability, limit, count)
    )
    fill_queues(loads, scvs, rooms, numbers, grid(), loss.reshape(-1), jobs.reshape(-1))
    return loss, jobs
