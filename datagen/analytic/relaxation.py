"""How long a network takes from empty to its steady state: the slowest of its devices decides.

In heavy traffic the jobs at a device are a Brownian motion between an empty and a full buffer, with
a drift of load - 1 and a variance of the sum of the SCVs of arrivals and service, per service time.
A device of load below one forgets how it began at the rate of that motion's spectral gap,

    drift^2 / (2 variance) + variance (pi / room)^2 / 2,

and one of load above one has to be filled first, which takes, from empty,

    room / drift - variance / (2 drift^2) (1 - exp(-2 room drift / variance))

service times on average. What decides labels are devices slightly above load one behind saturated
devices of constant service: their arrivals hardly vary, so that only the drift fills them, and a
buffer of 40 jobs at load 1.01 takes 4,000 services. A run of some thousand jobs then shows the
filling, not the steady state.

References:
    Linetsky, On the transition densities for reflected diffusions, Advances in Applied Probability
    37, 2005 (the spectral gap).
    Harrison, Brownian Models of Performance and Control, 2013, chapter 5 (the passage time).
    Whitt, The queueing network analyzer, Bell System Technical Journal 62, 1983 (the two moments).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.analytic.decomposition import decompose
from datagen.evaluation import DeploymentBatch

__all__ = ["passage_time", "relaxation_rate", "relaxation_times", "settling_times"]

Floats = NDArray[np.float64]

LEAST_VARIANCE = 0.01
"""Sums of SCVs below count as that: the decomposition does not tell them apart, nor loads that are
closer to one than its error, where the smallest variance would matter most."""

SMALL_EXPONENT = 1e-3
"""Below this room x drift / variance, the passage time is that without drift to three digits."""


def relaxation_rate(drift: Floats, variance: Floats, room: Floats) -> Floats:
    """Return the spectral gap of a Brownian motion reflected at 0 and at a limit.

    Args:
        drift: Per unit of time [D].
        variance: Per unit of time, > 0 [D].
        room: The limit, > 0, or infinite [D].

    Returns:
        Rate at which the beginning is forgotten [D].
    """
    return np.asarray(drift**2 / (2.0 * variance) + variance * (np.pi / room) ** 2 / 2.0)


def passage_time(drift: Floats, variance: Floats, room: Floats) -> Floats:
    """Return the mean time that a Brownian motion reflected at 0 takes from there to a limit.

    Args:
        drift: Per unit of time, >= 0 [D].
        variance: Per unit of time, > 0 [D].
        room: The limit, > 0 [D].

    Returns:
        Units of time [D].
    """
    exponent = 2.0 * room * drift / variance
    driven = exponent > SMALL_EXPONENT
    slope = np.where(driven, drift, 1.0)
    straight = room / slope + variance / (2.0 * slope**2) * np.expm1(-exponent)
    return np.where(driven, straight, room**2 / variance)


def relaxation_times(batch: DeploymentBatch) -> Floats:
    """Return how long each device takes to its steady state, on its own.

    What the decomposition does not know of (priorities, links, exits, batches) is left out of
    account.

    Args:
        batch: The deployments.

    Returns:
        Times [s]; 0 where nothing arrives, infinite where an unlimited buffer grows for ever [D].
    """
    _, devices = decompose(batch)
    used = devices.work > 0.0
    load = devices.work / batch.device_servers
    variance = load * devices.lasting + devices.service_scv
    variance = np.where(used, variance, 1.0).clip(min=LEAST_VARIANCE)
    room = np.where(used, devices.room, 1.0)
    drift = load - 1.0
    below = 1.0 / relaxation_rate(drift, variance, room)
    finite = np.isfinite(room)
    above = passage_time(drift.clip(min=0.0), variance, np.where(finite, room, 1.0))
    services = np.where(drift < 0.0, below, np.where(finite, above, np.inf))
    return np.where(used, services * devices.mean / batch.device_servers, 0.0)


def settling_times(batch: DeploymentBatch) -> Floats:
    """Return the relaxation time of the slowest device of each deployment.

    Args:
        batch: The deployments.

    Returns:
        Times [s] [B].
    """
    return np.maximum.reduceat(relaxation_times(batch), batch.device_start[:-1])
