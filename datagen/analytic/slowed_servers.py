"""Finite queues whose servers slow each other down: M/M/c/K with a speed-up table.

With n jobs present, min(n, c) servers are busy, each at the relative speed that the table gives for
so many: a birth-death process. K counts every job at the device.

Reference:
    Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2008, ch. 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.errors import require

__all__ = ["mmck_slowed"]


def mmck_slowed(
    arrival_rate: float, service_rate: float, speedup: Sequence[float], capacity: int
) -> FiniteQueueMeasures:
    """Return the steady-state measures of an M/M/c/K queue whose servers slow each other down.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        service_rate: Exponential service rate of a server at relative speed 1 [1/s], > 0.
        speedup: Relative speed of each server with 1, 2, ... c of them busy, > 0 [c].
        capacity: K, jobs the device holds, those in service included, >= c.

    Returns:
        The measures; ``mean_jobs == throughput * mean_latency`` by Little's law.

    Raises:
        InvalidInputError: If an argument is out of range.

    Example:
        >>> round(mmck_slowed(1.0, 1.0, (1.0, 0.5), 2).loss_probability, 6)
        0.333333
    """
    require(arrival_rate > 0, "arrival_rate", "be > 0", arrival_rate)
    require(service_rate > 0, "service_rate", "be > 0", service_rate)
    servers = len(speedup)
    require(servers >= 1, "speedup", "hold at least one value", speedup)
    require(min(speedup) > 0, "speedup", "hold values > 0", speedup)
    require(capacity >= servers, "capacity", f"be >= {servers}", capacity)
    busy = np.minimum(np.arange(1, capacity + 1), servers)
    rates = service_rate * busy * np.asarray(speedup, dtype=np.float64)[busy - 1]
    logs = np.concatenate([[0.0], np.cumsum(np.log(arrival_rate / rates))])
    probability = np.exp(logs - logs.max())
    probability /= probability.sum()
    loss = float(probability[-1])
    jobs = float(probability @ np.arange(capacity + 1))
    throughput = arrival_rate * (1.0 - loss)
    return FiniteQueueMeasures(
        loss_probability=loss,
        throughput=throughput,
        mean_jobs=jobs,
        mean_latency=jobs / throughput,
        utilization=float(probability[1:] @ busy) / servers,
    )
