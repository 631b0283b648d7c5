"""Selection: finalists are simulated again and again, until the best one is told apart.

All meet the same random numbers, so that their differences are known much better than their values.
After each round, whatever is worse than the leader beyond chance is dropped, and the rest shares
what is left of the budget; it ends when nobody is left to tell the leader from, or the others are
as good. The start stays to the end: what is chosen is never worse than it on all runs played.

References:
    Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter optimization,
    AISTATS 2016 (successive halving).
    Kim and Nelson, A fully sequential procedure for indifference-zone selection in simulation, ACM
    Transactions on Modeling and Computer Simulation 11, 2001 (paired differences, tolerance).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from datagen.evaluation import Measures
from datagen.evaluation.measures import MEASURES, Columns
from surrogate.optimizers.goal import EXCEEDED, UNSTABLE, Goal
from surrogate.optimizers.space import Placements

__all__ = ["RUNS", "Selection", "race"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RUNS = 8
"""Runs of each finalist that the budget is for, if none is dropped."""

FIRST_RUNS = 4
"""Runs of the first round: fewer say nothing about chance."""

CONFIDENCE = 0.95
"""Of the two-sided interval of each difference to the leader."""

TOLERANCE = 0.01
"""Differences below this share of the leader's value make no difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """How the winner was chosen.

    Args:
        chosen: 0-based index of the winner.
        finalists: Placements that were compared, the start among them.
        undecided: Finalists that were neither worse than the winner beyond chance nor as good, when
            the budget ended; 0 where all were told apart.
        runs: Runs of the winner.
    """

    chosen: int
    finalists: int
    undecided: int
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        values = asdict(self)
        del values["chosen"]
        return values


class _Tally:
    """What the runs so far say of the finalists.

    Args:
        count: Number of finalists, N.
    """

    def __init__(self, count: int) -> None:
        self.alive: Ints = np.arange(count)
        self.runs: list[Floats] = []  # plain value of the first objective [N], NaN once dropped
        self._sums: dict[tuple[str, str], Floats] = {}
        self._squares: dict[tuple[str, str], Floats] = {}
        self._last: Measures | None = None

    def add(self, measures: Measures, goal: Goal) -> None:
        """Take in a run of those alive."""
        count = self.alive.max() + 1 if not self.runs else len(self.runs[0])
        values = np.full(count, np.nan)
        values[self.alive] = goal.plain(measures)[:, 0]
        self.runs.append(values)
        self._last = measures
        for level in ("deployment", "chain"):
            for name, column in getattr(measures, level).items():
                rows = column.astype(np.float64).reshape(len(self.alive), -1)
                for sums, terms in ((self._sums, rows), (self._squares, rows**2)):
                    total = sums.setdefault((level, name), np.zeros((count, rows.shape[1])))
                    total[self.alive] += terms

    def mean(self) -> Measures:
        """Return the measures of those alive, averaged over the runs, with standard errors.

        Errors come from how the runs differ: each is a single one, and knows none of its own.
        """
        assert self._last is not None
        found: dict[str, Columns] = {}
        for level in ("deployment", "chain"):
            columns: Columns = getattr(self._last, level)
            averaged: dict[str, Floats] = {}
            for name, column in columns.items():
                if name.endswith("_se"):
                    continue
                mean = self._sums[level, name][self.alive] / len(self.runs)
                # A flag is up if it was up in any run.
                averaged[name] = mean.ravel()
                if name in MEASURES[level] and column.dtype != np.bool_:
                    averaged[f"{name}_se"] = self._standard_error(level, name, mean).ravel()
            found[level] = Columns(level, columns.rows, averaged)
        return replace(self._last, deployment=found["deployment"], chain=found["chain"])

    def _standard_error(self, level: str, name: str, mean: Floats) -> Floats:
        """Return the standard errors of means over the runs [N, rows]."""
        runs = len(self.runs)
        spread = self._squares[level, name][self.alive] / runs - mean**2
        return np.sqrt(np.maximum(spread, 0.0) / max(runs - 1, 1))

    def behind(self, leader: int) -> tuple[Floats, Floats]:
        """Return by how much those alive are behind one of them, and the half-width of that."""
        values = np.stack(self.runs)
        apart = values[:, self.alive] - values[:, [leader]]
        runs = len(apart)
        factor = student.ppf(0.5 + CONFIDENCE / 2, runs - 1) / np.sqrt(runs)
        return apart.mean(axis=0), factor * apart.std(axis=0, ddof=1)


def race(
    rows: Placements,
    excess: Floats,
    goal: Goal,
    play: Callable[[Placements, int], Measures],
    seconds_left: Callable[[], float],
    now: Callable[[], float] = time.perf_counter,
) -> Selection:
    """Choose the best of some placements by simulation.

    Args:
        rows: Placements [N, F], the start first; the first wins ties.
        excess: Bytes by which they exceed the memory [N].
        goal: What is minimised and limited; the first objective decides.
        play: Simulates placements in a run of a number; the same number, the same jobs.
        seconds_left: Time left [s].
        now: The clock that it is left on [s].

    Returns:
        The choice.
    """
    tally, left, runs = _Tally(len(rows)), RUNS * len(rows), FIRST_RUNS
    while True:
        began = now()
        for _ in range(runs):
            tally.add(play(rows[tally.alive], len(tally.runs)), goal)
        each = (now() - began) / (runs * len(tally.alive))
        left -= runs * len(tally.alive)
        values = _values(goal, tally.mean(), excess[tally.alive])
        leader = int(tally.alive[np.argmin(values)])
        worse, alike = _judged(tally, values, leader)
        undecided = int((~worse & ~alike).sum())
        tally.alive = tally.alive[~worse | (tally.alive == 0)]
        runs = min(len(tally.runs), left // len(tally.alive))
        late = each * runs * len(tally.alive) > seconds_left()
        if undecided == 0 or runs == 0 or late:
            return Selection(
                chosen=leader, finalists=len(rows), undecided=undecided, runs=len(tally.runs)
            )


def _values(goal: Goal, mean: Measures, excess: Floats) -> Floats:
    """Return the values of those alive, who have to keep limits beyond doubt.

    The start, which is the first of them, need not: it stays what it is.
    """
    values = goal.cautious().values(mean, excess)[:, 0]
    values[0] = goal.values(mean, excess)[0, 0]
    return values


def _judged(
    tally: _Tally, values: Floats, leader: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which of those alive are worse than the leader, and which as good.

    What breaks a limit may turn out to keep it, and is neither.
    """
    behind, half = tally.behind(leader)
    proper = values < EXCEEDED
    worse = np.where(proper, behind - half > 0, values >= UNSTABLE)
    value = float(values.min())
    alike = proper & (np.abs(behind) + half <= TOLERANCE * abs(value))
    alike |= tally.alive == leader
    return worse & (tally.alive != leader), alike
