"""The queueing policy: the mix of exits of most worth whose queue keeps a loss target.

For every mean service time the closed form of :mod:`datagen.analytic.two_moment_loss` says how
variable services may be; the best mix with that mean and no more variability is a linear program.
The best over a grid of means is the policy's mix. It is found anew when the arrival rate or the
worth of exits has changed since it was found last.

A vertex of the program has two options, or three where it is at the bound on variability. There are
few of these, the same for every mean, so that all programs together are solved by looking at all
vertices, in a fraction of the time that a solver needs for one of them.

References:
    Casale and Roveri, Scheduling inputs in early exit neural networks, IEEE Transactions on
    Computers, 2023. Github imperial-qore/CEED (BSD 3-Clause), ``single_exit/model_based``; there
    the rate of the last solution is never stored, a coefficient of variation is used as its
    square, and a root found to a tolerance is then held to an exact limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.analytic.two_moment_loss import largest_scv
from datagen.errors import require
from datagen.policies.arrival_rate import WINDOW, device_rates
from datagen.policies.exit_policy import Decision, ExitPolicy, Outcome, Scene, Seen
from datagen.policies.single_exits import drawn_option
from datagen.policies.worth import ProfiledAccuracy, Worth

__all__ = ["ExitProgram", "QueueingPolicy", "best_mix"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MEANS = 100
"""Mean service times that are tried."""

ROUNDING = 1e-9
"""Slack of shares and of the bound on squares over the squared mean."""

SINGULAR = 1e-12
"""Determinant, of times in units of the longest, below which three options give no vertex."""

RATE_CHANGED = 0.2
"""Relative change of the rate from which the mix is found anew; a window of twenty arrivals knows
it no better."""

WORTH_CHANGED = 0.02
"""Change of a worth from which the mix is found anew."""

RATE_STEP = 0.05
"""Width of the logarithmic grid that rates are rounded up to, so that solutions can be kept."""

MOST_KEPT = 256
"""Solutions that are kept while worths do not change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitProgram:
    """The best mix of exits.

    Args:
        mix: Share of the jobs of each option [O].
        worth: Its mean worth.
        mean: Its mean service time [s].
        largest_scv: Variability that services of that mean may have.
    """

    mix: Floats
    worth: float
    mean: float
    largest_scv: float


def best_mix(
    arrival_rate: float,
    times: ArrayLike,
    worth: ArrayLike,
    capacity: int,
    loss_target: float,
    *,
    variances: ArrayLike | None = None,
    means: int = MEANS,
) -> ExitProgram:
    """Return the mix of most worth whose approximate M/G/1/K loss keeps a target.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        times: Mean time of a job by its option [s], > 0 [O].
        worth: What a job is worth by its option [O].
        capacity: K, jobs the device holds, the one in service included, >= 1.
        loss_target: Largest loss probability, in (0, 1).
        variances: Variance of the time of a job by its option [s^2] [O]; 0 by default.
        means: Mean service times that are tried, evenly spread, >= 2.

    Returns:
        The mix; where none keeps the target, all jobs take the quickest option.

    Raises:
        InvalidInputError: If an argument is out of range.
    """
    seconds, values = (np.asarray(x, dtype=np.float64) for x in (times, worth))
    require(bool((seconds > 0).all()), "times", "be > 0", times)
    require(values.shape == seconds.shape, "worth", f"have shape {seconds.shape}", worth)
    within = np.zeros_like(seconds) if variances is None else np.asarray(variances)
    grid = np.linspace(seconds.min(), seconds.max(), means)
    limits = [largest_scv(arrival_rate * mean, loss_target, capacity) for mean in grid.tolist()]
    known = np.array([limit is not None for limit in limits])
    scv = np.array([limit for limit in limits if limit is not None], dtype=np.float64)
    programs = _Programs(seconds, seconds**2 + within, grid[known], scv)
    found = [
        programs.best(values, *vertices) for vertices in (programs.pairs(), programs.triples())
    ]
    quickest = int(seconds.argmin())
    first = ExitProgram(
        mix=np.eye(len(seconds))[quickest],
        worth=float(values[quickest]),
        mean=float(seconds[quickest]),
        largest_scv=0.0,
    )
    kept = [program for program in found if program is not None]
    return max(kept, key=lambda program: program.worth) if kept else first


@dataclass(frozen=True)
class _Programs:
    """The linear programs of all mean service times, and their vertices.

    Args:
        times: Mean time of a job by its option [s] [O].
        squares: Mean square of it [s^2] [O].
        means: Mean service time of each program [s] [M].
        scv: Variability that its services may have, inf if any [M].
    """

    times: Floats
    squares: Floats
    means: Floats
    scv: Floats

    def pairs(self) -> tuple[Ints, Floats]:
        """Return the vertices of two options: these [V, 2], and their shares [V, 2, M]."""
        chosen = np.array([*combinations(range(len(self.times)), 2)], dtype=np.int64).reshape(-1, 2)
        first, other = self.times[chosen].T[..., None]
        apart = np.where(first == other, np.nan, other - first)  # alike: no vertex
        share = (self.means - first) / apart
        return chosen, np.stack([1.0 - share, share], axis=1)

    def triples(self) -> tuple[Ints, Floats]:
        """Return the vertices at the bound: three options [V, 3], and their shares [V, 3, M]."""
        chosen = np.array([*combinations(range(len(self.times)), 3)], dtype=np.int64).reshape(-1, 3)
        # In units of the longest time, so that the determinant says how singular a system is.
        longest = self.times.max()
        rows = [np.ones(chosen.shape), self.times[chosen] / longest]
        systems = np.stack([*rows, self.squares[chosen] / longest**2], axis=1)
        proper = np.abs(np.linalg.det(systems)) > SINGULAR
        chosen, systems = chosen[proper], systems[proper]
        relative = self.means / longest
        bound = np.where(np.isfinite(self.scv), (1.0 + self.scv) * relative**2, np.nan)
        right = np.stack([np.ones_like(relative), relative, bound])
        return chosen, np.linalg.inv(systems) @ right

    def best(self, worth: Floats, chosen: Ints, shares: Floats) -> ExitProgram | None:
        """Return the best of some vertices that keep all limits, or None if none does."""
        square = np.einsum("vk,vkm->vm", self.squares[chosen], shares)
        limit = (1.0 + self.scv) * self.means**2
        keeps = (square <= limit + ROUNDING * self.means**2) & (shares >= -ROUNDING).all(axis=1)
        value = np.where(keeps, np.einsum("vk,vkm->vm", worth[chosen], shares), -np.inf)
        if not keeps.any():
            return None
        place, at = np.unravel_index(int(value.argmax()), value.shape)
        mix = np.zeros(len(self.times))
        mix[chosen[place]] = np.maximum(shares[place, :, at], 0.0)
        return ExitProgram(
            mix=mix / mix.sum(),
            worth=float(value[place, at]),
            mean=float(self.means[at]),
            largest_scv=float(self.scv[at]),
        )


class QueueingPolicy(ExitPolicy):
    """Exits are drawn from the best mix for the measured arrival rate.

    Args:
        loss_target: Largest loss ratio of each device, in (0, 1).
        worth: What exits are worth; the profiled accuracy by default. With
            :class:`datagen.policies.worth.Confidence` this is CEED's ``conf_model_based``.
        window: Arrivals that the rate is measured over, >= 2.
        means: See :func:`best_mix`.

    Raises:
        InvalidInputError: If the target is out of range.
    """

    def __init__(
        self,
        loss_target: float,
        worth: Worth | None = None,
        *,
        window: int = 5 * WINDOW,
        means: int = MEANS,
    ) -> None:
        require(0 < loss_target < 1, "loss_target", "lie in (0, 1)", loss_target)
        self.loss_target, self.window, self.means = loss_target, window, means
        self.worth = worth or ProfiledAccuracy()

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        for stage in scene.stages:
            limited = math.isfinite(stage.capacity)
            require(limited, "capacity", "be finite for the queueing policy", stage.capacity)
        self._scene, self._rng = scene, rng
        self.worth.begin(scene)
        self._rates = device_rates(scene, self.window)
        self._solved_rates = [0.0] * len(scene.stages)
        self._mixes: list[list[float]] = [[]] * len(scene.stages)
        self._kept: dict[tuple[int, int], list[float]] = {}
        self._solved_worth = self.worth.values.copy()

    def decide(self, seen: Seen) -> Decision:
        post = self._scene.posts[seen.stage]
        rate = self._rates[self._scene.stages[post].device].rate(seen.time)
        before = self._solved_rates[post]
        if abs(rate - before) > RATE_CHANGED * before:
            self._solved_rates[post] = rate
            self._mixes[post] = self._solved(post, rate)
        option = drawn_option(self._mixes[post], self._rng.random())
        return self._scene.stages[seen.stage].single[option]

    def _solved(self, number: int, rate: float) -> list[float]:
        """Return running sums of the best mix of a stage at a rate, rounded up to the grid."""
        step = math.ceil(math.log(rate) / RATE_STEP)
        key = (number, step)
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            stage = self._scene.stages[number]
            found = best_mix(
                math.exp(step * RATE_STEP) / stage.servers,
                stage.times,
                self._scene.by_option(stage, self._solved_worth),
                int(stage.capacity),
                self.loss_target,
                variances=stage.variances,
                means=self.means,
            )
            self._kept[key] = np.cumsum(found.mix).tolist()
        return self._kept[key]

    def arrived(self, device: int, time: float, admitted: bool) -> None:
        self._rates[device].add(time)

    def finished(self, outcome: Outcome) -> None:
        self.worth.learn(outcome)
        if np.abs(self.worth.values - self._solved_worth).max() > WORTH_CHANGED:
            self._solved_worth = self.worth.values.copy()
            self._kept.clear()
            self._solved_rates = [0.0] * len(self._solved_rates)
