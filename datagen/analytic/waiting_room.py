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

from datagen.analytic.queue_kernel import UNLIMITED_ROOM, fill_loads, fill_losses, fill_waiting

__all__ = ["UNLIMITED_ROOM", "log_load", "room_loss", "room_waiting"]

Array = NDArray[np.float64]


def log_load(load: ArrayLike) -> Array:
    """Return the logarithm of a load, kept off the singular points 0, 1 and infinity.

    Args:
        load: Offered load per server, any shape, >= 0.

    Returns:
        Logarithm of the load, never 0, same shape.
    """
    given = np.asarray(load, dtype=np.float64)
    value = np.empty(given.shape)
    fill_loads(np.array(given).ravel(), value.reshape(-1))
    return value


def room_loss(log_load: Array, blocking: Array, room: Array) -> Array:
    """Return the loss probability, B / (r^-room + B (1 + r^-1 + ... + r^-(room-1))).

    Args:
        log_load: Logarithm of the load per server, not 0.
        blocking: Erlang B of the servers at this load, in [0, 1).
        room: Places to wait, real, in [0, ``UNLIMITED_ROOM``].

    Returns:
        Loss probability, in [max(0, 1 - 1/load), 1), broadcast shape.
    """
    given = np.broadcast_arrays(log_load, blocking, room)
    loss = np.empty(given[0].shape)
    logs, shares, rooms = (np.array(values).ravel() for values in given)
    fill_losses(logs, shares, rooms, loss.reshape(-1))
    return loss


def room_waiting(log_load: Array, blocking: Array, room: Array) -> Array:
    """Return the mean number of waiting jobs: P(some wait) times their mean number if some do.

    Args:
        log_load: Logarithm of the load per server, not 0.
        blocking: Erlang B of the servers at this load, in [0, 1).
        room: Places to wait, real, in [0, ``UNLIMITED_ROOM``].

    Returns:
        Mean number of waiting jobs, in [0, room], broadcast shape.
    """
    given = np.broadcast_arrays(log_load, blocking, room)
    waiting = np.empty(given[0].shape)
    logs, shares, rooms = (np.array(values).ravel() for values in given)
    fill_waiting(logs, shares, rooms, waiting.reshape(-1))
    return waiting
