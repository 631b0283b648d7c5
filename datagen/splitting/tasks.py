"""The tasks of a run, drawn beforehand, so that every decider meets the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datagen.distributions import Law, LogNormal
from datagen.splitting.applications import APPLICATIONS, INTERVAL, Application, Host, Task

__all__ = ["HOSTS", "draw_tasks", "interval_starts"]

Floats = NDArray[np.float64]

FIRST_DEADLINE = 2
"""Shortest deadline [intervals]."""

SPREAD = 0.5
"""Standard deviation of the number of tasks per interval, before it is cut to a whole number."""

HOSTS = tuple(
    Host(name=f"{kind}{index}", speed=cores / 2.0)
    for kind, cores, count in (("B2ms", 2, 4), ("E2asv4", 2, 2), ("B4ms", 4, 2), ("E4asv4", 4, 2))
    for index in range(count)
)
"""The ten machines of SplitPlace's testbed; a speed of 1 for two cores is our choice."""

NOISE = LogNormal(mean=1.0, scv=0.01)


def interval_starts(mean: float, count: int, rng: np.random.Generator) -> Floats:
    """Return arrivals as SplitPlace draws them: all tasks of an interval come when it starts.

    Their number is a normal deviate cut towards zero to a whole number >= 0, so that a mean of 1
    makes 0.5 tasks per interval and one of 2 makes 1.5.

    Args:
        mean: Mean of the normal deviate, > 0.5 lest hardly any come.
        count: Number of tasks.
        rng: Random numbers.

    Returns:
        Times [s], non-decreasing [count].
    """
    times: list[float] = []
    interval = 0
    while len(times) < count:
        drawn = max(0, int(rng.normal(mean, SPREAD)))
        times += [interval * INTERVAL] * drawn
        interval += 1
    return np.array(times[:count])


def draw_tasks(
    arrivals: Floats,
    rng: np.random.Generator,
    *,
    applications: Sequence[Application] = APPLICATIONS,
    noise: Law = NOISE,
) -> tuple[Task, ...]:
    """Draw tasks.

    Args:
        arrivals: When they come [s] [N]; times of :func:`interval_starts`, or of any process of
            :mod:`datagen.arrivals`.
        rng: Random numbers.
        applications: What they run; their shares sum to 1.
        noise: Law of the factor of the time of a piece, of mean 1.

    Returns:
        The tasks, in the order of their arrivals.
    """
    shares = [application.share for application in applications]
    pieces = max(max(len(a.layer), len(a.semantic)) for a in applications)
    tasks = []
    for index, arrival in enumerate(np.sort(arrivals).tolist()):
        application = applications[rng.choice(len(applications), p=shares)]
        intervals = int(rng.integers(FIRST_DEADLINE, application.deadlines))
        factors = noise.quantile(rng.random(pieces)).tolist()
        tasks.append(
            Task(
                index=index,
                application=application,
                arrival=arrival,
                deadline=intervals * INTERVAL,
                noise=tuple(factors),
                luck=float(rng.standard_normal()),
            )
        )
    return tuple(tasks)
