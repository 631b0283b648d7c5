"""The knapsack policy: spend the time until the buffer overflows on the jobs that are here.

When a service starts, n jobs are present and arrivals leave a budget of time until the buffer is
full. Which exits for the n jobs give the most accuracy within the budget is a knapsack problem with
a fixed number of items; it is solved exactly, by the Pareto frontier of (time, worth) of all plans
for 0, 1, ..., K jobs: dropping a job from an undominated plan leaves an undominated plan. The
frontiers do not depend on the budget, so that they are built once, and a decision is a bisection.

References:
    Casale and Roveri, Scheduling inputs in early exit neural networks, IEEE Transactions on
    Computers, 2023. Github imperial-qore/CEED (BSD 3-Clause), ``single_exit/rate_based``; its bound
    is no bound (optima are missed), it credits a job with all of its accuracy rather than with what
    it gains over the first exit, and returns counts in sorted instead of exit order.
"""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.errors import require
from datagen.policies.arrival_rate import WINDOW, device_rates
from datagen.policies.exit_policy import Decision, ExitPolicy, Outcome, Scene, Seen
from datagen.policies.single_exits import drawn_option
from datagen.policies.worth import ProfiledAccuracy, Worth

__all__ = ["Knapsack", "PlanFrontier"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHANGED = 0.02
"""Change of a worth from which plans are made anew: less decides little."""

MOST_JOBS = 32
"""Jobs that plans are made for; of more, the first ones. Frontiers grow with their number."""


class PlanFrontier:
    """Best plans for a number of jobs, at every budget.

    Args:
        times: Time of a job by its option [s], > 0 [O].
        worth: What it is worth there [O].
        jobs: Largest number of jobs, >= 1.

    Raises:
        InvalidInputError: If shapes differ or numbers are out of range.

    Example:
        >>> plans = PlanFrontier([1.0, 3.0], [0.5, 0.9], 2)
        >>> plans.best(2, 4.5).tolist()
        [1, 1]
    """

    def __init__(self, times: ArrayLike, worth: ArrayLike, jobs: int) -> None:
        seconds, values = (np.asarray(x, dtype=np.float64) for x in (times, worth))
        require(seconds.ndim == 1 and len(seconds) > 0, "times", "hold a number per option", times)
        require(bool((seconds > 0).all()), "times", "be > 0", times)
        require(values.shape == seconds.shape, "worth", f"have shape {seconds.shape}", worth)
        require(jobs >= 1, "jobs", "be >= 1", jobs)
        self._plans: list[Ints] = [np.zeros((1, len(seconds)), dtype=np.int64)]
        spent, gained = np.zeros(1), np.zeros(1)
        self._times: list[list[float]] = [[0.0]]
        for _ in range(jobs):
            longer = self._plans[-1][:, None] + np.eye(len(seconds), dtype=np.int64)
            spent = (spent[:, None] + seconds).ravel()
            gained = (gained[:, None] + values).ravel()
            kept = _undominated(spent, gained)
            spent, gained = spent[kept], gained[kept]
            self._plans.append(longer.reshape(-1, len(seconds))[kept])
            self._times.append(spent.tolist())

    @property
    def jobs(self) -> int:
        """Largest number of jobs."""
        return len(self._plans) - 1

    def best(self, jobs: int, budget: float) -> Ints:
        """Return the plan of most worth within a budget.

        Args:
            jobs: Number of jobs, in [1, ``jobs``].
            budget: Time for all of them together [s].

        Returns:
            Jobs by option [O]; the quickest plan where none keeps the budget.
        """
        place = bisect_right(self._times[jobs], budget) - 1
        return np.asarray(self._plans[jobs][max(place, 0)])


def _undominated(spent: Floats, gained: Floats) -> Ints:
    """Return the plans that no quicker one is worth as much as, the quickest first."""
    order = np.lexsort((-gained, spent))
    best = np.maximum.accumulate(gained[order])
    better = np.empty(len(order), dtype=bool)
    better[0] = True
    better[1:] = gained[order][1:] > best[:-1]
    return np.asarray(order[better])


class Knapsack(ExitPolicy):
    """Each job's exit is drawn from the best plan for all jobs present.

    The budget of n jobs at a device that holds K is the time until a job is lost if none is served
    meanwhile: the mean gap between arrivals times K - n + 1, the places that are free and one.
    With several servers it is as many times that.

    Args:
        worth: What exits are worth; the profiled accuracy by default. With
            :class:`datagen.policies.worth.Confidence` this is CEED's ``conf_rate_based``.
        window: Arrivals that the rate is measured over, >= 2.
    """

    def __init__(self, worth: Worth | None = None, *, window: int = WINDOW) -> None:
        self.worth = worth or ProfiledAccuracy()
        self.window = window

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        for stage in scene.stages:
            limited = math.isfinite(stage.capacity)
            require(limited, "capacity", "be finite for the knapsack policy", stage.capacity)
        self._scene, self._rng = scene, rng
        self.worth.begin(scene)
        self._rates = device_rates(scene, self.window)
        self._plan()

    def _plan(self) -> None:
        """Make the plans for what exits are worth now."""
        scene, self._planned = self._scene, self.worth.values.copy()
        self._frontiers = [
            PlanFrontier(
                stage.times,
                scene.by_option(stage, self._planned),
                int(min(stage.capacity, MOST_JOBS)),
            )
            for stage in scene.stages
        ]

    def decide(self, seen: Seen) -> Decision:
        stage, frontier = self._scene.stages[seen.stage], self._frontiers[seen.stage]
        free = stage.capacity - seen.jobs + 1
        budget = self._rates[stage.device].gap(seen.time) * free * stage.servers
        plan = frontier.best(min(seen.jobs, frontier.jobs), budget)
        return stage.single[drawn_option(np.cumsum(plan).tolist(), self._rng.random())]

    def arrived(self, device: int, time: float, admitted: bool) -> None:
        self._rates[device].add(time)

    def finished(self, outcome: Outcome) -> None:
        self.worth.learn(outcome)
        if np.abs(self.worth.values - self._planned).max() > CHANGED:
            self._plan()
