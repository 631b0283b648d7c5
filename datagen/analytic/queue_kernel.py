"""Compiled formulas of one queue: real waiting rooms, and the tabulated M/G/c/K.

What they mean is told where they are offered for arrays: :mod:`datagen.analytic.waiting_room` and
:mod:`datagen.analytic.tabulated`. Here they are written for numbers, to be compiled into whoever
evaluates many queues. Exponentials are NumPy's, which overflow to infinity as the formulas want.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled, inlined

__all__ = [
    "LOSS_SHIFT",
    "LOSS_SMALL_ROOM",
    "OFF_LOAD_ONE",
    "SHIFT_EXPONENT",
    "UNLIMITED_ROOM",
    "WAITING_SHIFT",
    "WAITING_SMALL_ROOM",
    "Grid",
    "fill_loads",
    "fill_losses",
    "fill_queues",
    "fill_waiting",
    "log_load_of",
    "loss_and_jobs_of",
    "loss_of",
    "room_loss_of",
    "room_waiting_of",
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

UNLIMITED_ROOM = 1e12
"""Stands for an unlimited room: finite, so that no infinity meets a zero, and far above any room
that could be told from infinity."""

_MIN_LOAD, _MAX_LOAD = 1e-12, 1e12
"""Loads are clipped to this range, where every measure has long met its limit."""

_MIN_LOG_LOAD = 1e-12
"""Load 1 is a removable singularity: this close to it, closed forms differ by 1e-12 * room."""

_MIN_BLOCKING = 1e-300
"""Keeps 0 * inf away when the load of many servers is so small that Erlang B underflows."""

_MIN_ROOM = 1e-9
"""Smallest room whose mean place in line is computed; below it nobody waits. It also keeps 0/0 away
where there is no room and no shift; the ratio then multiplies no room."""

_SERIES_RADIUS = 0.5
"""Below this exponent the two terms of the mean place in line cancel, and a series is used."""

_MIN_BEND = 1e-9
"""A smaller bend is a straight line to this accuracy, and log1p(bend) stays away from 0."""


class Grid(NamedTuple):
    """The table of M/D/1/K; see :class:`datagen.analytic.md1k_table.MD1KTable`.

    Args:
        log_load: Logarithm of the load, equally spaced [L].
        inverse_capacity: 1/K, increasing [C].
        room_ratio: Ratio of the rooms [L, C].
        waiting_ratio: Ratio of the waiting jobs [L, C].
    """

    log_load: Array
    inverse_capacity: Array
    room_ratio: Array
    waiting_ratio: Array


@inlined
def log_load_of(load: float) -> float:
    """Logarithm of a load, kept off 0, 1 and infinity."""
    value = math.log(min(max(load, _MIN_LOAD), _MAX_LOAD))
    return _MIN_LOG_LOAD if abs(value) < _MIN_LOG_LOAD else value


@inlined
def erlang_b_of(servers: float, offered: float) -> float:
    """Erlang's loss formula."""
    blocking = 1.0
    for number in range(1, int(servers) + 1):
        busy = offered * blocking
        blocking = busy / (number + busy)
    return blocking


@inlined
def room_loss_of(log_load: float, blocking: float, room: float) -> float:
    """Loss probability of M/M/c with a real room: B / (r^-room + B (1 + ... + r^-(room-1)))."""
    blocking = max(blocking, _MIN_BLOCKING)
    exponent = -room * log_load
    growth = np.expm1(exponent)
    return float(blocking / (1.0 + growth + blocking * growth / np.expm1(-log_load)))


@inlined
def room_waiting_of(log_load: float, blocking: float, room: float) -> float:
    """Mean waiting jobs of M/M/c with a real room: P(some wait) times their mean if some do."""
    blocking = max(blocking, _MIN_BLOCKING)
    power_sum = np.exp(log_load) * np.expm1(room * log_load) / np.expm1(log_load)
    some_wait = 1.0 / (1.0 + 1.0 / (blocking * power_sum))
    return float(some_wait * _mean_place(log_load, max(room, _MIN_ROOM)))


@inlined
def _mean_place(log_load: float, room: float) -> float:
    """Mean of i in 1..room under weights r^i, for real room, without cancellation near r = 1."""
    exponent = room * log_load
    if max(abs(exponent), abs(log_load)) < _SERIES_RADIUS:
        return 0.5 * (room + 1.0) + room * _odd_part(exponent) - _odd_part(exponent / room)
    return float(-1.0 / np.expm1(log_load) - room / np.expm1(-exponent))


@inlined
def _odd_part(x: float) -> float:
    """1 / (e^x - 1) - 1/x + 1/2 by its series, coefficients B_2k / (2k)!; 3e-13 off at 0.5."""
    y = x * x
    return x * (1 / 12 - y * (1 / 720 - y * (1 / 30240 - y * (1 / 1209600 - y / 47900160))))


@inlined
def loss_of(load: float, scv: float, capacity: float, servers: float, grid: Grid) -> float:
    """Loss probability of M/G/c/K; of an SCV in (-1, 0) see :func:`loss_and_jobs_of`."""
    working, log_rho, blocking = _alike(load, capacity, servers)
    longer = _longer_room(capacity - working, scv)
    fixed = _interpolated(grid.room_ratio, log_rho, 1.0 / (longer + 1.0), grid)
    ratio = _room_ratio(fixed, log_rho, scv, longer, working)
    return room_loss_of(log_rho, blocking, longer * ratio)


@inlined
def loss_and_jobs_of(
    load: float, scv: float, capacity: float, servers: float, grid: Grid
) -> tuple[float, float]:
    """Loss probability and mean jobs of M/G/c/K, infinite where no steady state exists.

    An SCV in (-1, 0) stands for a sum v = 1 + scv of both SCVs below that of Poisson arrivals and
    constant service. A diffusion of variance v in a room R is one of variance 1 in R / v, times v.
    """
    working, log_rho, blocking = _alike(load, capacity, servers)
    offered = load * servers
    longer = _longer_room(capacity - working, scv)
    inverse_capacity = 1.0 / (longer + 1.0)
    fixed = _interpolated(grid.room_ratio, log_rho, inverse_capacity, grid)
    reach = longer * _room_ratio(fixed, log_rho, scv, longer, working)
    loss = room_loss_of(log_rho, blocking, reach)
    if capacity == math.inf and offered >= working:
        return loss, math.inf
    fixed = _interpolated(grid.waiting_ratio, log_rho, inverse_capacity, grid)
    ratio = _waiting_ratio(fixed, log_rho, scv, longer, working)
    waiting = min(1.0 + scv, 1.0) * ratio * room_waiting_of(log_rho, blocking, reach)
    room = min(capacity - working, UNLIMITED_ROOM)
    return loss, offered * (1.0 - loss) + min(waiting, room)


@inlined
def _alike(load: float, capacity: float, servers: float) -> tuple[float, float, float]:
    """Servers that can ever work, the logarithm of their load, and their Erlang loss."""
    working = min(servers, math.floor(capacity)) if capacity < math.inf else servers
    log_rho = log_load_of(load * servers / working)
    return working, log_rho, erlang_b_of(working, math.exp(log_rho) * working)


@inlined
def _longer_room(room: float, scv: float) -> float:
    """Room to wait that a queue of variance 1 needs in place of this one, limited."""
    return min(min(room, UNLIMITED_ROOM) / min(1.0 + scv, 1.0), UNLIMITED_ROOM)


@inlined
def _room_ratio(fixed: float, log_load: float, scv: float, room: float, servers: float) -> float:
    """Ratio of the room to that of exponential service, from that of constant service."""
    ratio = fixed
    if scv > 0.0:
        bend = math.sqrt((LOSS_SMALL_ROOM / (room + 1.0)) ** 2 + (OFF_LOAD_ONE * log_load**2) ** 2)
        ratio = 1.0 / (1.0 + (1.0 - _weight(scv, bend)) * (1.0 / fixed - 1.0))
    return _beyond(ratio, room, log_load, servers, LOSS_SHIFT)


@inlined
def _waiting_ratio(fixed: float, log_load: float, scv: float, room: float, servers: float) -> float:
    """Ratio of the waiting to that of exponential service, from that of constant service."""
    ratio = fixed
    if scv > 0.0:
        # Below load 1 unlimited waiting is linear in scv; above, waiting follows the room.
        above = OFF_LOAD_ONE * log_load**2 if log_load > 0.0 else 0.0
        bend = math.sqrt((WAITING_SMALL_ROOM / (room + 1.0)) ** 2 + above**2)
        ratio = 1.0 + (1.0 - _weight(scv, bend)) * (fixed - 1.0)
    return _beyond(ratio, room, log_load, servers, WAITING_SHIFT)


@inlined
def _beyond(ratio: float, room: float, log_load: float, servers: float, places: float) -> float:
    """Apply a ratio to the places of a room beyond some per further server only, smoothly."""
    if servers == 1.0:
        return ratio
    shift = places * (servers - 1.0) * math.exp(-SHIFT_EXPONENT * log_load)
    place = max(room, _MIN_ROOM)
    return 1.0 + (ratio - 1.0) * (place / (place + shift))


@inlined
def _weight(scv: float, bend: float) -> float:
    """log(1 + bend scv) / log(1 + bend): 0 at scv 0, 1 at scv 1, a straight line for bend 0."""
    bend = max(bend, _MIN_BEND)
    return math.log1p(bend * scv) / math.log1p(bend)


@inlined
def _interpolated(values: Array, log_load: float, inverse_capacity: float, grid: Grid) -> float:
    """A ratio for constant service, bilinear in log load and 1/K, constant beyond the grid."""
    last_row, last_column = grid.log_load.size - 2, grid.inverse_capacity.size - 2
    first, last = grid.log_load[0], grid.log_load[-1]
    step = (last - first) / (last_row + 1)
    place = (min(max(log_load, first), last) - first) / step
    row = min(int(place), last_row)
    column = 0
    while column < last_column and grid.inverse_capacity[column + 1] < inverse_capacity:
        column += 1
    left = grid.inverse_capacity[column]
    width = grid.inverse_capacity[column + 1] - left
    across = min((inverse_capacity - left) / width, 1.0)
    return _bilinear(values, row, column, place - row, across)


@inlined
def _bilinear(values: Array, row: int, column: int, along: float, across: float) -> float:
    """Value between four nodes."""
    upper = (1.0 - across) * values[row, column] + across * values[row, column + 1]
    lower = (1.0 - across) * values[row + 1, column] + across * values[row + 1, column + 1]
    return float((1.0 - along) * upper + along * lower)


@compiled
def fill_loads(load: Array, log_load: Array) -> None:
    """Write the logarithm of each load; both arrays [N]."""
    for i in range(load.size):
        log_load[i] = log_load_of(load[i])


@compiled
def fill_losses(log_load: Array, blocking: Array, room: Array, loss: Array) -> None:
    """Write the loss of each real waiting room; all arrays [N]."""
    for i in range(loss.size):
        loss[i] = room_loss_of(log_load[i], blocking[i], room[i])


@compiled
def fill_waiting(log_load: Array, blocking: Array, room: Array, waiting: Array) -> None:
    """Write the mean waiting jobs of each real waiting room; all arrays [N]."""
    for i in range(waiting.size):
        waiting[i] = room_waiting_of(log_load[i], blocking[i], room[i])


@compiled
def fill_queues(
    load: Array, scv: Array, capacity: Array, servers: Array, grid: Grid, loss: Array, jobs: Array
) -> None:
    """Write loss and mean jobs of each M/G/c/K queue; all arrays [N]."""
    for i in range(loss.size):
        loss[i], jobs[i] = loss_and_jobs_of(load[i], scv[i], capacity[i], servers[i], grid)
