"""The table behind the fast M/G/1/K approximation: how M/D/1/K differs from M/M/1/K.

Loss and waiting of an M/M/1 queue are closed forms in the load and in its room K - 1, which may be
any real number (``datagen.analytic.waiting_room``). At each load there is one room for which the
closed form gives exactly the loss of M/D/1/K. The table holds that room divided by K - 1, and the
mean number of waiting jobs divided by the closed form at that room. Both ratios are smooth, of
order one (2 and 1/2 at load 1), all but constant in the load at the scale 1/K where the queue
itself changes quickly, and all but linear in 1/K, so that few nodes serve K = 2 to infinity.

The room follows from p0/pK, the ratio of the probabilities of an empty and of a full queue: it is
load^-K in M/M/1/K, and 1 at load 1 for every service law. As K grows, it approaches z^K, where z is
the root other than 1 of P(z) = z, P being the generating function of the arrivals in one service.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import lambertw

from datagen.analytic.arrival_counts import deterministic_counts
from datagen.analytic.mg1k import capacity_sweep
from datagen.analytic.queue_kernel import Grid
from datagen.analytic.waiting_room import room_waiting

__all__ = ["MD1KTable", "grid", "table"]

Array = NDArray[np.float64]

_LOG_LOAD_STEP = 0.05
"""Linear interpolation over this step is off by less than 0.1 % of a ratio."""

_LOG_LOAD_FIRST, _LOG_LOAD_LAST = -14.0, 4.0
"""Loads 8e-7 to 55; outside, a loss differs from its limit by less than 1e-12 or K = 1."""

_CAPACITIES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 20, 30, 50, 100, 200)
"""Finite nodes; from 200 to infinity the ratios are linear in 1/K to 1e-5."""

_NEAR_ZERO = 1e-6
"""Stands for the logarithm of load 1, where the room is a limit 0/0."""

_SMALLEST_RATIO = 1e-280
"""Smallest p0/pK (and pK/p0) taken from the recursion; beyond it float64 runs out, and the ratio is
continued by its geometric limit, which holds to all digits there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MD1KTable:
    """M/D/1/K relative to M/M/1/K on a grid; read-only arrays, bilinear between the nodes."""

    log_load: Array
    """Logarithm of the load, shape [L], increasing, equally spaced."""
    inverse_capacity: Array
    """1/K, shape [C], increasing from 0 (unlimited) to 1/2; K counts the job in service."""
    room_ratio: Array
    """Room of the M/M/1 queue of equal loss, over K - 1, shape [L, C], > 1."""
    waiting_ratio: Array
    """Mean waiting jobs over those of M/M/1 with that room, shape [L, C], in (0, 1/2]."""


@cache
def table() -> MD1KTable:
    """Return the table, built at the first call (about 0.1 s) and kept for the process.

    Returns:
        The table; its arrays are read-only.
    """
    count = round((_LOG_LOAD_LAST - _LOG_LOAD_FIRST) / _LOG_LOAD_STEP) + 1
    nodes = np.linspace(_LOG_LOAD_FIRST, _LOG_LOAD_LAST, count)
    log_load = np.where(np.abs(nodes) < _NEAR_ZERO, _NEAR_ZERO, nodes)
    growth = _limit_growth(log_load)
    log_ratio, waiting = _exact_columns(np.exp(log_load), growth)
    capacity = np.array(_CAPACITIES, dtype=np.float64)
    room = -log_ratio / log_load[:, None] - 1.0
    blocking = 1.0 / (1.0 + np.exp(-log_load))
    reference = room_waiting(log_load[:, None], blocking[:, None], room)
    # Unlimited room: z^K = load^-room, and below load 1 half the waiting by Pollaczek-Khinchine.
    limit_room = -growth / log_load
    limit_waiting = np.where(log_load < 0, 0.5, 1.0 / limit_room)
    columns = np.concatenate([[0.0], 1.0 / capacity[::-1]])
    rooms = np.column_stack([limit_room, (room / (capacity - 1.0))[:, ::-1]])
    waitings = np.column_stack([limit_waiting, (waiting / reference)[:, ::-1]])
    for array in (nodes, columns, rooms, waitings):
        array.flags.writeable = False
    return MD1KTable(
        log_load=nodes, inverse_capacity=columns, room_ratio=rooms, waiting_ratio=waitings
    )


def grid() -> Grid:
    """Return the table as compiled formulas read it."""
    known = table()
    return Grid(known.log_load, known.inverse_capacity, known.room_ratio, known.waiting_ratio)


def _limit_growth(log_load: Array) -> Array:
    """Logarithm of the root z != 1 of exp(load (z - 1)) = z, by Lambert's W; shape [L]."""
    load = np.exp(log_load)
    argument = -load * np.exp(-load)
    # Each branch gives the other root, 1, on the other side of load 1.
    below = -lambertw(argument, -1).real / load
    above = -lambertw(argument, 0).real / load
    growth = np.log(np.where(log_load < 0, below, above))
    # At load 1 both roots meet at 1; W has a branch point there, so use log z = -2 log load.
    return np.where(np.abs(log_load) <= _NEAR_ZERO, -2.0 * log_load, growth)


def _exact_columns(load: Array, growth: Array) -> tuple[Array, Array]:
    """log(p0/pK) and the mean waiting jobs of M/D/1/K at the finite nodes; shapes [L, C-1]."""
    counts = deterministic_counts(load, max(_CAPACITIES))
    log_ratios: list[Array] = []
    waitings: list[Array] = []
    before = 1
    for state in capacity_sweep(counts, _CAPACITIES):
        capacity = state.capacity
        empty, full = state.below[:, 0], state.full
        places = np.arange(1.0, capacity - 1)
        waiting = state.below[:, 2:] @ places + (capacity - 1.0) * full
        waiting /= state.below.sum(axis=1) + full
        valid = (empty > _SMALLEST_RATIO * full) & (full > _SMALLEST_RATIO * empty)
        log_ratio = np.log(np.where(valid, empty / np.where(valid, full, 1.0), 1.0))
        if log_ratios:
            more = capacity - before
            log_ratio = np.where(valid, log_ratio, log_ratios[-1] + more * growth)
            waiting = np.where(valid, waiting, waitings[-1] + more * (growth < 0))
        log_ratios.append(log_ratio)
        waitings.append(waiting)
        before = capacity
    return np.column_stack(log_ratios), np.column_stack(waitings)
