"""Greedy batch service: an idle accelerator takes all that wait, up to its largest batch.

Arrivals are Poisson; a batch of b jobs takes a constant time T(b), and those who arrive meanwhile
wait for the next one. The jobs present when a batch starts form a Markov chain. Over the cycle that
follows, the expected numbers of batches, lost jobs and job-seconds are known in closed form, and
their ratios are the exact measures (renewal reward).

Where T(b) = a b + t0 and neither the batch nor the buffer is limited, Inoue's bound on the mean
latency is a closed form; at loads of 0.8 and more it is 1.4 % above the exact value at most.

Rates are in 1/s and times in s. K counts every job at the device, those in service included.

References:
    Inoue, Queueing analysis of GPU-based inference servers with dynamic batching: A closed-form
    characterization, Performance Evaluation 147, 2021.
    Chaudhry and Templeton, A First Course in Bulk Queues, 1983, ch. 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc, gammaln

from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.markov_chain import stationary
from datagen.errors import require

__all__ = ["BatchServiceMeasures", "greedy_batches", "inoue_latency_bound"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchServiceMeasures:
    """Steady-state measures of a queue served in batches."""

    queue: FiniteQueueMeasures
    """What any finite queue has."""
    mean_batch: float
    """Mean number of jobs in a batch, >= 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cycles:
    """What follows the start of a batch with 1..K jobs present."""

    batch: NDArray[np.int64]
    """Jobs in the batch [K]."""
    seconds: Array
    """Time until the next batch starts [s] [K]."""
    lost: Array
    """Jobs lost until then [K]."""
    job_seconds: Array
    """Time integral of the jobs present until then [s] [K]."""
    follows: Array
    """Probability of 1..K jobs at the next start [K, K]."""


def greedy_batches(
    arrival_rate: float, batch_times: ArrayLike, capacity: int
) -> BatchServiceMeasures:
    """Return the steady-state measures of greedy batch service.

    Unlimited room is the limit of large K: cost grows with its third power, and the loss tells
    whether K is large enough.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        batch_times: T(1), T(2), ... up to the largest batch [s], > 0, shape [largest batch].
        capacity: K, jobs the device holds, those in service included, >= 1.

    Returns:
        The measures.

    Raises:
        InvalidInputError: If an argument is out of range.

    Example:
        >>> found = greedy_batches(1.0, [0.5, 0.6, 0.7, 0.8], capacity=8)
        >>> round(found.mean_batch, 3), round(found.queue.mean_latency, 3)
        (1.111, 0.642)
    """
    require(arrival_rate > 0, "arrival_rate", "be > 0", arrival_rate)
    require(capacity >= 1, "capacity", "be >= 1", capacity)
    times = np.asarray(batch_times, dtype=np.float64)
    listed = times.ndim == 1 and times.size > 0 and bool(np.all(np.isfinite(times) & (times > 0)))
    require(listed, "batch_times", "be a list of finite times > 0", batch_times)
    cycles = _cycles(arrival_rate, times, capacity)
    start = stationary(cycles.follows)
    seconds = float(start @ cycles.seconds)
    busy = float(start @ times[cycles.batch - 1]) / seconds
    loss = float(start @ cycles.lost) / (arrival_rate * seconds)
    return BatchServiceMeasures(
        queue=FiniteQueueMeasures.of(
            arrival_rate=arrival_rate,
            loss_probability=loss,
            mean_jobs=float(start @ cycles.job_seconds) / seconds,
            # How long a job keeps the server depends on its company, so the load follows from the
            # time that the server is busy.
            load=busy / (1.0 - loss),
        ),
        mean_batch=float(start @ cycles.batch),
    )


def _cycles(arrival_rate: float, times: Array, capacity: int) -> _Cycles:
    present = np.arange(1, capacity + 1)
    batch = np.minimum(present, times.size)
    service = times[batch - 1]
    mean_arrivals = arrival_rate * service
    room, waiting = capacity - present, present - batch
    # Nobody waits at the end: none was left over, and none came or none found room.
    nobody = np.where(waiting == 0, np.where(room > 0, np.exp(-mean_arrivals), 1.0), 0.0)
    # P(A >= j), and E[(A - j)+] = its integral over the service times the arrival rate, j = 1..K.
    j = present[None, :]
    x = mean_arrivals[:, None]
    reached = gammainc(j, x)
    excess = np.maximum(x * reached - j * gammainc(j + 1, x), 0.0)
    fits = j <= room[:, None]
    lost = np.where(room > 0, excess[present - 1, np.maximum(room, 1) - 1], mean_arrivals)
    entered = np.where(fits, excess, 0.0).sum(axis=1) / arrival_rate
    return _Cycles(
        batch=batch,
        seconds=service + nobody / arrival_rate,
        lost=lost,
        job_seconds=present * service + entered,
        follows=_follows(mean_arrivals, waiting, room),
    )


def _follows(mean_arrivals: Array, waiting: NDArray[np.int64], room: NDArray[np.int64]) -> Array:
    """Probability of 1..K jobs at the next start; the last that fits stands for all more [K, K]."""
    capacity = room.size
    follows = np.zeros((capacity, capacity))
    for row in range(capacity):
        x, space = mean_arrivals[row], int(room[row])
        few = np.arange(space)
        arrive = np.empty(space + 1)
        arrive[:space] = np.exp(few * np.log(x) - x - gammaln(few + 1.0))
        arrive[space] = gammainc(space, x) if space > 0 else 1.0
        # Where nobody waits, the next batch is the next job alone.
        jobs = np.maximum(waiting[row] + np.arange(space + 1), 1)
        np.add.at(follows[row], jobs - 1, arrive)
    return follows


def inoue_latency_bound(arrival_rate: float, per_job: float, setup: float) -> float:
    """Return an upper bound on the mean latency of greedy batches of any size.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        per_job: Time that each job adds to its batch, a [s], > 0; arrival_rate * per_job < 1.
        setup: Time that each batch takes besides, t0 [s], >= 0.

    Returns:
        Bound on the mean time between arrival and end of the batch [s].

    Raises:
        InvalidInputError: If an argument is out of range.

    Example:
        >>> round(inoue_latency_bound(8.0, 0.1, 0.05), 4)
        0.7639
    """
    require(arrival_rate > 0, "arrival_rate", "be > 0", arrival_rate)
    require(per_job > 0, "per_job", "be > 0", per_job)
    require(setup >= 0, "setup", "be >= 0", setup)
    load = arrival_rate * per_job
    require(load < 1, "load", "be < 1", load)
    first = 1.0 + 2.0 * arrival_rate * setup + (1.0 - arrival_rate * setup) / (1.0 + load)
    small_setup = (per_job + setup) / (2.0 * (1.0 - load)) * first
    large_setup = 1.5 * setup / (1.0 - load) + 0.5 * per_job * (load + 2.0) / (1.0 - load**2)
    return min(small_setup, large_setup)
