"""A device whose door others wait at: a birth-and-death chain of the jobs in it and at its door.

Who comes from outside is lost while the device is full; who comes from another device waits at that
one, as long as it has a server to wait at, and enters before anybody from outside.

Where services are not exponential, the ratios of neighbouring states beyond the servers are raised
to the power 2 / (1 + SCV), as in a diffusion; the first and the last ratio are those that keep the
flow balanced, so that a single server without a door loses

    (1 - rho) Q / (1 - rho Q),    Q = rho sigma^(K - 1),    sigma = rho^(2 / (1 + SCV)),

which is exact for exponential services, and for K = 1. Shared processors keep no server busy with
jobs that wait ahead: theirs is the product form of the processor and of those who wait.

References:
    Gelenbe, On approximate computer system models, Journal of the ACM 22, 1975 (diffusions with
    room for K).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import inlined

__all__ = ["TINY", "Balance", "balanced", "kept_rates", "shared_rates"]

Floats = NDArray[np.float64]

LARGE = 1e200
"""Weight of a state at which all are made smaller, before they are infinite."""

LEVEL = 1e-6
"""Distance of a ratio of rates from 1 below which its power is taken from the derivative."""

TINY = 1e-300
"""Keeps what never happens away from 0/0."""


class Balance(NamedTuple):
    """The stationary state of a device.

    Args:
        lost: Share of the jobs from outside that are lost.
        inside: Mean number of jobs in it.
        waiting: Mean number of jobs at its door.
        entering: Jobs from other devices that enter per second [1/s].
        full: Share of the time that it is full.
    """

    lost: float
    inside: float
    waiting: float
    entering: float
    full: float


@inlined
def shared_rates(
    rates: Floats, room: int, servers: int, mean: float, held: float, slowdown: Floats
) -> None:
    """Set the completions of shared processors and of a delay, by the product form of both.

    Args:
        rates: Where completions per second go, by jobs inside [1/s] [> room].
        room: Jobs that the device holds, >= servers.
        servers: Its servers.
        mean: Mean service with one busy server [s].
        held: Mean wait for room ahead [s].
        slowdown: Time of a service with 1, 2, ... busy servers over that of one alone.
    """
    term = 1.0  # weight of all jobs waiting ahead, over that of the state with one job less
    for jobs in range(1, room + 1):
        term *= held / jobs
        weight = mean + term
        rates[jobs] = 1.0 / weight
        if servers > 1:
            busy = min(jobs, servers)
            slow = slowdown[busy - 1]
            rates[jobs] = min(rates[jobs] * busy / slow, jobs / (mean * slow + held))
        term /= weight


@inlined
def kept_rates(
    rates: Floats, room: int, servers: int, mean: float, held: float, slowdown: Floats
) -> None:
    """Set the completions of servers that are kept while their job waits ahead.

    Args:
        rates: Where completions per second go, by jobs inside [1/s] [> room].
        room: Jobs that the device holds, >= servers.
        servers: Its servers.
        mean: Mean service with one busy server [s].
        held: Mean wait for room ahead [s].
        slowdown: Time of a service with 1, 2, ... busy servers over that of one alone.
    """
    for jobs in range(1, room + 1):
        busy = min(jobs, servers)
        rates[jobs] = busy / (mean * slowdown[busy - 1] + held)


@inlined
def _growth(ratio: float, power: float, ends: float, first: bool) -> float:
    """Weight of a state over that of the one below.

    Args:
        ratio: Arrivals in the lower one over completions in the upper one.
        power: Of ratios where jobs wait.
        ends: How many first steps of waiting it is, less the last ones.
        first: Whether all jobs below are in service, and the upper one is the first to wait.
    """
    raised = ratio**power
    balance = power if abs(1.0 - ratio) < LEVEL else (1.0 - raised) / (1.0 - ratio)
    return float((ratio if first else raised) * balance**ends)


@inlined
def balanced(
    room: int, places: int, servers: int, outside: float, sent: float, power: float, rates: Floats
) -> Balance:
    """Solve the chain of a device.

    Args:
        room: Jobs that it holds, >= servers.
        places: Servers of other devices that jobs may wait for it at.
        servers: Its servers.
        outside: Jobs that come from outside [1/s].
        sent: Jobs that other devices send while none waits at the door [1/s]; each that waits
            takes its part of that away.
        power: Of ratios of neighbouring states where jobs wait, 2 / (1 + SCV).
        rates: Completions per second by jobs inside [1/s].

    Returns:
        Its stationary state.
    """
    weight, total, inside, door, full, open_, done = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    by_door = sent / (sent + outside) if sent + outside > 0.0 else 0.0
    most = room + places
    for jobs in range(most + 1):
        within = min(jobs, room)
        free = 1.0 - (jobs - within) / places if places > 0 else 1.0
        total += weight
        inside += weight * within
        door += weight * (jobs - within)
        open_ += weight * free
        if jobs >= room:
            full += weight
        if jobs > 0:
            done += weight * rates[within]
        coming = sent * free + (outside if jobs < room else 0.0)
        if jobs == most or coming <= 0.0:
            break
        ratio = coming / rates[min(jobs + 1, room)]
        if jobs < servers - 1 or power == 1.0:
            weight *= ratio
        else:
            ends = 1.0 if jobs == servers - 1 else 0.0
            if jobs == room - 1:
                ends -= 1.0 - by_door if places > 0 else 1.0
            if jobs == most - 1 and places > 0:
                ends -= by_door
            weight *= _growth(ratio, power, ends, jobs == servers - 1)
        if weight > LARGE:
            total, inside, door = total / weight, inside / weight, door / weight
            full, open_, done = full / weight, open_ / weight, done / weight
            weight = 1.0
    accepted, let_in = sent * open_, outside * (total - full)
    done /= total
    from_doors = done * accepted / max(accepted + let_in, TINY)
    lost = 1.0 - (done - from_doors) / outside if outside > 0.0 else full / total
    return Balance(min(max(lost, 0.0), 1.0), inside / total, door / total, from_doors, full / total)
