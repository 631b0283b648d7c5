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

from datagen.analytic.markovian import erlang_b
from datagen.analytic.md1k_table import MD1KTable, table
from datagen.analytic.waiting_room import UNLIMITED_ROOM, log_load, room_loss, room_waiting
from datagen.errors import require

__all__ = [
    "MD1KTable",
    "loss_and_jobs",
    "loss_probability",
    "loss_probability_multi",
    "mean_jobs",
    "mean_jobs_multi",
    "table",
]

Array = NDArray[np.float64]

LOSS_SMALL_ROOM = 0.5
"""Bend of the loss weight at load 1, over K. This and the next two were fitted to exact gamma
M/G/1/K (loads 0.05 to 8, K 2 to 100, scv 0.1 to 10, losses above 1e-6) and rounded to one digit."""

WAITING_SMALL_ROOM = 0.08
"""Bend of the waiting weight at load 1, over K."""

OFF_LOAD_ONE = 0.05
"""Bend of both weights far from load 1, times log(load) squared."""

LOSS_SHIFT = 0.25
"""Places to wait, per server beyond the first and at load 1, that do not see the service law, for
the room. This and the next two were fitted to exact M/E2/c/K (c 2 to 8), M/E4/2/K and M/E4/3/K."""

WAITING_SHIFT = 0.1
"""The same places, for the mean number of waiting jobs."""

SHIFT_EXPONENT = 0.7
"""Both shifts are divided by the load to this power."""

_MIN_ROOM = 1e-9
"""Keeps 0/0 away where there is no room and no shift; the ratio then multiplies no room."""

_MIN_BEND = 1e-9
"""A smaller bend is a straight line to this accuracy, and log1p(bend) stays away from 0."""


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
    working = np.minimum(count, np.floor(limit))
    offered = rho * count
    log_rho = log_load(offered / working)
    blocking = erlang_b(working, np.exp(log_rho) * working)
    room = np.minimum(limit - working, UNLIMITED_ROOM)
    room_ratio, waiting_ratio = _ratios(log_rho, variability, room + 1.0)
    shift = (working - 1.0) * np.exp(-SHIFT_EXPONENT * log_rho)
    room_ratio = _beyond(room_ratio, room, LOSS_SHIFT * shift)
    waiting_ratio = _beyond(waiting_ratio, room, WAITING_SHIFT * shift)
    loss = room_loss(log_rho, blocking, room * room_ratio)
    waiting = waiting_ratio * room_waiting(log_rho, blocking, room * room_ratio)
    jobs = offered * (1.0 - loss) + np.minimum(waiting, room)
    unbounded = np.isinf(limit) & (offered >= working)
    return loss, np.where(unbounded, np.inf, jobs)


def _ratios(log_load: Array, scv: Array, capacity: Array) -> tuple[Array, Array]:
    """Ratios of room and of waiting to those of exponential service, for each element."""
    fixed_room, fixed_waiting = _interpolated(log_load, 1.0 / capacity)
    off_one = OFF_LOAD_ONE * log_load**2
    loss_weight = _weight(scv, np.hypot(LOSS_SMALL_ROOM / capacity, off_one))
    # Below load 1 unlimited waiting is linear in scv; above, waiting follows the room.
    above = np.where(log_load > 0, off_one, 0.0)
    waiting_weight = _weight(scv, np.hypot(WAITING_SMALL_ROOM / capacity, above))
    room_ratio = 1.0 / (1.0 + (1.0 - loss_weight) * (1.0 / fixed_room - 1.0))
    waiting_ratio = 1.0 + (1.0 - waiting_weight) * (fixed_waiting - 1.0)
    return room_ratio, waiting_ratio


def _beyond(ratio: Array, room: Array, shift: Array) -> Array:
    """Apply a ratio to the places of a room beyond a shift only, smoothly."""
    place = np.maximum(room, _MIN_ROOM)
    return 1.0 + (ratio - 1.0) * (place / (place + shift))


def _weight(scv: Array, bend: Array) -> Array:
    """log(1 + bend scv) / log(1 + bend): 0 at scv 0, 1 at scv 1, a straight line for bend 0."""
    bend = np.maximum(bend, _MIN_BEND)
    return np.asarray(np.log1p(bend * scv) / np.log1p(bend))


def _interpolated(log_load: Array, inverse_capacity: Array) -> tuple[Array, Array]:
    """Both ratios for constant service, bilinear in log load and 1/K, constant beyond the grid."""
    grid = table()
    first, last = grid.log_load[0], grid.log_load[-1]
    step = (last - first) / (grid.log_load.size - 1)
    place = (np.clip(log_load, first, last) - first) / step
    row = np.minimum(place.astype(np.intp), grid.log_load.size - 2)
    along = place - row
    nodes = grid.inverse_capacity
    column = np.clip(np.searchsorted(nodes, inverse_capacity) - 1, 0, nodes.size - 2)
    width = nodes[column + 1] - nodes[column]
    across = np.minimum((inverse_capacity - nodes[column]) / width, 1.0)
    weights = (
        (row, column, (1.0 - along) * (1.0 - across)),
        (row, column + 1, (1.0 - along) * across),
        (row + 1, column, along * (1.0 - across)),
        (row + 1, column + 1, along * across),
    )
    room = sum(weight * grid.room_ratio[i, j] for i, j, weight in weights)
    waiting = sum(weight * grid.waiting_ratio[i, j] for i, j, weight in weights)
    return np.asarray(room), np.asarray(waiting)
