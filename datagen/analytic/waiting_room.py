"""Loss and waiting of an M/M/c queue whose waiting room is any real number >= 0.

The closed forms of M/M/c/(c + room) are analytic in the room, so they hold their meaning between
the integers. ``datagen.analytic.markovian`` reads them at integers, where they are exact, and
``datagen.analytic.tabulated`` at the room that makes them match another service law.

With blocking B = Erlang B of the c servers and r = load per server, i jobs wait with probability
B r^i relative to at most c jobs at the device, so that every sum below is a geometric one.

References:
    Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2008, ch. 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["UNLIMITED_ROOM", "log_load", "room_loss", "room_waiting"]

Array = NDArray[np.float64]

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
"""Smallest room whose mean place in line is computed; below it nobody waits."""

_SERIES_RADIUS = 0.5
"""Below this exponent the two terms of the mean place in line cancel, and a series is used."""


def log_load(load: ArrayLike) -> Array:
    """Return the logarithm of a load, kept off the singular points 0, 1 and infinity.

    Args:
        load: Offered load per server, any shape, >= 0.

    Returns:
        Logarithm of the load, never 0, same shape.
    """
    value = np.log(np.clip(load, _MIN_LOAD, _MAX_LOAD))
    return np.where(np.abs(value) < _MIN_LOG_LOAD, _MIN_LOG_LOAD, value)


def room_loss(log_load: Array, blocking: Array, room: Array) -> Array:
    """Return the loss probability, B / (r^-room + B (1 + r^-1 + ... + r^-(room-1))).

    Args:
        log_load: Logarithm of the load per server, not 0.
        blocking: Erlang B of the servers at this load, in [0, 1).
        room: Places to wait, real, in [0, ``UNLIMITED_ROOM``].

    Returns:
        Loss probability, in [max(0, 1 - 1/load), 1), broadcast shape.
    """
    blocking = np.maximum(blocking, _MIN_BLOCKING)
    with np.errstate(over="ignore"):
        exponent = -room * log_load
        inverse_sum = np.expm1(exponent) / np.expm1(-log_load)
        return blocking / (np.exp(exponent) + blocking * inverse_sum)


def room_waiting(log_load: Array, blocking: Array, room: Array) -> Array:
    """Return the mean number of waiting jobs: P(some wait) times their mean number if some do.

    Args:
        log_load: Logarithm of the load per server, not 0.
        blocking: Erlang B of the servers at this load, in [0, 1).
        room: Places to wait, real, in [0, ``UNLIMITED_ROOM``].

    Returns:
        Mean number of waiting jobs, in [0, room], broadcast shape.
    """
    blocking = np.maximum(blocking, _MIN_BLOCKING)
    with np.errstate(over="ignore", divide="ignore"):
        power_sum = np.exp(log_load) * np.expm1(room * log_load) / np.expm1(log_load)
        some_wait = 1.0 / (1.0 + 1.0 / (blocking * power_sum))
        return some_wait * _mean_place(log_load, np.maximum(room, _MIN_ROOM))


def _mean_place(log_load: Array, room: Array) -> Array:
    """Mean of i in 1..room under weights r^i, for real room, without cancellation near r = 1."""
    exponent = room * log_load
    near_one = np.maximum(np.abs(exponent), np.abs(log_load)) < _SERIES_RADIUS
    away = np.where(near_one, 1.0, exponent)
    direct = -1.0 / np.expm1(log_load) - room / np.expm1(-away)
    small = np.where(near_one, exponent, 0.0)
    series = 0.5 * (room + 1.0) + room * _odd_part(small) - _odd_part(small / room)
    return np.where(near_one, series, direct)


def _odd_part(x: Array) -> Array:
    """1 / (e^x - 1) - 1/x + 1/2 by its series, coefficients B_2k / (2k)!; 3e-13 off at 0.5."""
    y = x * x
    return x * (1 / 12 - y * (1 / 720 - y * (1 / 30240 - y * (1 / 1209600 - y / 47900160))))
