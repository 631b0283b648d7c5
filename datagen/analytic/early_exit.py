"""A finite queue whose jobs may leave early, decided by the backlog: a chain of 2 B + 1 states.

One server, Poisson arrivals, B jobs at most, the one in service included. A job's service starts in
an early stage or in a full one, and may go on from the early to the full stage; both stages last
exponential times. The two decisions may depend on the jobs present, which makes this the oracle of

- policies that choose early or full service when a job starts (``goes_on`` = 0), and
- exits inside a network (``starts_early`` = 1): the trunk is the early stage, and those that the
  exit does not keep go on.

The states are "empty" and, for each number of jobs from 1 to B, the stage of the job in service.

References:
    Neuts, Matrix-Geometric Solutions in Stochastic Models, 1981, ch. 2 and 3 (phase-type service).
    The chain of policies by backlog is that of the public QAdaEE code (queue-aware early exits).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.markov_chain import stationary
from datagen.errors import require

__all__ = ["EarlyExitMeasures", "early_exit_queue"]

Array = NDArray[np.float64]

_EARLY, _FULL = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyExitMeasures:
    """Steady-state measures of a finite queue with early exits."""

    queue: FiniteQueueMeasures
    """What any finite queue has."""
    early: float
    """Rate of jobs that leave after the early stage [1/s]."""
    full: float
    """Rate of jobs that leave after the full stage [1/s]."""

    def accuracy(self, early: float, full: float) -> float:
        """Return the share of right answers among the completed jobs.

        Args:
            early: Share of right answers at the early exit, in [0, 1].
            full: Share of right answers after the full stage, in [0, 1].

        Returns:
            Their mean, weighted by where jobs leave.
        """
        return (self.early * early + self.full * full) / (self.early + self.full)


def early_exit_queue(
    arrival_rate: float,
    service_rates: tuple[float, float],
    capacity: int,
    *,
    starts_early: ArrayLike = 1.0,
    goes_on: ArrayLike = 0.0,
) -> EarlyExitMeasures:
    """Return the steady-state measures of the queue.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        service_rates: Exponential rates of the early and of the full stage [1/s], > 0.
        capacity: B, jobs the device holds, the one in service included, >= 1.
        starts_early: Probability of starting in the early stage when 1..B jobs are present, itself
            included, in [0, 1], shape [B] or one number.
        goes_on: Probability of going on to the full stage when 1..B jobs are present at the end of
            the early one, in [0, 1], shape [B] or one number.

    Returns:
        The measures; ``early + full + lost = arrival_rate``.

    Raises:
        InvalidInputError: If an argument is out of range.

    Example:
        >>> found = early_exit_queue(1.0, (2.0, 1.0), 1, starts_early=0.5)
        >>> round(found.queue.loss_probability, 4)  # 0.75 / (1 + 0.75)
        0.4286
    """
    require(arrival_rate > 0, "arrival_rate", "be > 0", arrival_rate)
    require(min(service_rates) > 0, "service_rates", "be > 0", service_rates)
    require(capacity >= 1, "capacity", "be >= 1", capacity)
    start = _by_backlog("starts_early", starts_early, capacity)
    on = _by_backlog("goes_on", goes_on, capacity)
    probability = stationary(_rates(arrival_rate, service_rates, start, on))
    jobs = np.concatenate([[0], np.repeat(np.arange(1, capacity + 1), 2)])
    early_rate, full_rate = service_rates
    early = float(early_rate * (probability[1::2] @ (1.0 - on)))
    full = float(full_rate * probability[2::2].sum())
    busy = float(probability[1:].sum())
    loss = float(probability[jobs == capacity].sum())
    return EarlyExitMeasures(
        queue=FiniteQueueMeasures.of(
            arrival_rate=arrival_rate,
            loss_probability=loss,
            mean_jobs=float(probability @ jobs),
            # What a service lasts depends on the backlog it starts with, so the load follows from
            # the time that the server is busy.
            load=busy / (1.0 - loss),
        ),
        early=early,
        full=full,
    )


def _rates(
    arrival_rate: float, service_rates: tuple[float, float], start: Array, on: Array
) -> Array:
    """Rates between the states 0, (1, early), (1, full), (2, early), ... [2B+1, 2B+1]."""
    capacity = start.size
    rates = np.zeros((2 * capacity + 1, 2 * capacity + 1))
    early_rate, full_rate = service_rates

    def at(jobs: int, stage: int) -> int:
        return 2 * jobs - 1 + stage

    def begin(source: int, jobs: int, rate: float) -> None:
        """Start a service with these jobs present, or turn idle."""
        if jobs == 0:
            rates[source, 0] += rate
            return
        rates[source, at(jobs, _EARLY)] += rate * start[jobs - 1]
        rates[source, at(jobs, _FULL)] += rate * (1.0 - start[jobs - 1])

    begin(0, 1, arrival_rate)
    for jobs in range(1, capacity + 1):
        early, full = at(jobs, _EARLY), at(jobs, _FULL)
        rates[early, full] += early_rate * on[jobs - 1]
        begin(early, jobs - 1, early_rate * (1.0 - on[jobs - 1]))
        begin(full, jobs - 1, full_rate)
        if jobs < capacity:
            for stage in (_EARLY, _FULL):
                rates[at(jobs, stage), at(jobs + 1, stage)] += arrival_rate
    return rates


def _by_backlog(name: str, values: ArrayLike, capacity: int) -> Array:
    """One probability per number of jobs present [B]."""
    given = np.asarray(values, dtype=np.float64)
    require(given.shape in ((), (capacity,)), name, f"have shape ({capacity},)", given.shape)
    proper = bool(np.all((given >= 0) & (given <= 1)))
    require(proper, name, "lie in [0, 1]", values)
    return np.broadcast_to(given, (capacity,))
