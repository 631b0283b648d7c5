"""Simulation of one device whose thresholds depend on its backlog when a service starts.

The event engines play decisions that are fixed; here they depend on the queue. With Poisson
arrivals and one server, all that matters happens between service starts: a job draws a sample of
the trace and its times, leaves where the thresholds of the backlog say, and meanwhile a Poisson
number of jobs arrives, as many of which enter as there is room. Many independent runs advance side
by side, service by service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.distributions import Law
from datagen.errors import require
from datagen.exits import ExitTrace

__all__ = ["BacklogMeasures", "Timed", "simulate_backlog_exits"]

Floats = NDArray[np.float64]

Timed = tuple[Law, float]
"""A law of work, and the speed that divides it."""

RUNS = 2000
"""Independent runs that advance side by side."""

WARM_UP = 60
"""Services of each run that are not counted: several times what it takes to fill a small buffer."""

NORMAL_95 = 1.96
"""Standard errors on either side of a 95 % interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BacklogMeasures:
    """Measures of one device, with standard errors between runs.

    Args:
        loss_ratio: Lost / offered.
        loss_ratio_se: Its standard error.
        accuracy_offered: Right answers / offered.
        accuracy_offered_se: Its standard error.
        offered: Jobs that arrived.
    """

    loss_ratio: float
    loss_ratio_se: float
    accuracy_offered: float
    accuracy_offered_se: float
    offered: float

    @property
    def loss_ci95(self) -> tuple[float, float]:
        """95 % interval of the loss ratio."""
        reach = NORMAL_95 * self.loss_ratio_se
        return max(self.loss_ratio - reach, 0.0), self.loss_ratio + reach


def simulate_backlog_exits(
    *,
    arrival_rate: float,
    works: Sequence[Sequence[Timed]],
    heads: Sequence[Timed],
    capacity: int,
    trace: ExitTrace,
    thresholds: Floats,
    services: int = 1_000_000,
    seed: int = 0,
) -> BacklogMeasures:
    """Simulate a gateway with queue-aware thresholds.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        works: What is served between each exit and the one before: laws of work and the speeds that
            divide them [E].
        heads: The same of each intermediate classifier [E - 1].
        capacity: K, jobs the device holds, the one in service included, >= 1.
        trace: Where jobs leave [N, E]; every job draws a sample.
        thresholds: Thresholds by the jobs present when a service starts, the job itself included
            [K, E - 1]; above 1 closes an exit.
        services: Services simulated, all runs together, >= 1.
        seed: Master seed, >= 0.

    Returns:
        Measures.

    Raises:
        InvalidInputError: If shapes do not fit each other.
    """
    exits = trace.exits
    require(len(works) == exits, "works", f"hold {exits} lists", len(works))
    require(len(heads) == exits - 1, "heads", f"hold {exits - 1} laws", len(heads))
    shaped = np.shape(thresholds) == (capacity, exits - 1)
    require(shaped, "thresholds", f"have shape ({capacity}, {exits - 1})", np.shape(thresholds))
    outcome = _outcomes(trace, np.asarray(thresholds))  # [K, N]
    is_open = np.asarray(thresholds) <= 1  # [K, E - 1]
    rng = np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(seed)))
    jobs = np.ones(RUNS, dtype=np.int64)
    offered, lost, right = np.zeros(RUNS), np.zeros(RUNS), np.zeros(RUNS)
    for number in range(WARM_UP + -(-services // RUNS)):
        sample = rng.integers(trace.samples, size=RUNS)
        left = outcome[jobs - 1, sample]
        times = _times(rng, works, heads, is_open[jobs - 1], left)
        arrived = rng.poisson(arrival_rate * times)
        entered = np.minimum(arrived, capacity - jobs)
        jobs = jobs - 1 + entered
        idle = jobs == 0
        jobs[idle] = 1  # the next to arrive
        if number >= WARM_UP:
            offered += arrived + idle
            lost += arrived - entered
            right += trace.correct[sample, left]
    return BacklogMeasures(
        **_ratio("loss_ratio", lost, offered),
        **_ratio("accuracy_offered", right, offered),
        offered=float(offered.sum()),
    )


def _outcomes(trace: ExitTrace, thresholds: Floats) -> NDArray[np.int64]:
    """Return the exit of every sample under each row of thresholds [K, N]."""
    stops = trace.confidences[None, :, :-1] >= thresholds[:, None]
    last = np.ones((*stops.shape[:2], 1), dtype=bool)
    return np.asarray(np.concatenate([stops, last], axis=2).argmax(axis=2))


def _times(
    rng: np.random.Generator,
    works: Sequence[Sequence[Timed]],
    heads: Sequence[Timed],
    is_open: NDArray[np.bool_],
    left: NDArray[np.int64],
) -> Floats:
    """Return the time of each job as far as its exit [s] [runs]."""
    total = np.zeros(len(left))
    for exit_, parts in enumerate(works):
        going = left >= exit_
        for part in parts:
            total += np.where(going, _drawn(rng, part, len(left)), 0.0)
        if exit_ < len(heads):
            head = _drawn(rng, heads[exit_], len(left))
            total += np.where(going & is_open[:, exit_], head, 0.0)
    return total


def _drawn(rng: np.random.Generator, timed: Timed, count: int) -> Floats | float:
    law, speed = timed
    return law.quantile(rng.random(count)) / speed if law.is_random else law.mean / speed


def _ratio(name: str, part: Floats, whole: Floats) -> dict[str, float]:
    """Return a ratio of sums over runs, and its standard error."""
    ratio = float(part.sum() / whole.sum())
    spread = (part - ratio * whole).std(ddof=1) * np.sqrt(len(part)) / whole.sum()
    return {name: ratio, f"{name}_se": float(spread)}
