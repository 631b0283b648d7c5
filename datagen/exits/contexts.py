"""Contexts that change while a chain runs: what makes the difficulty of its jobs drift.

A chain whose trace has contexts may say which of them its jobs meet when: the samples of a job are
then those of the context at its arrival, and the difficulty of consecutive jobs is correlated.
Without such a process, a job draws from all samples alike, whenever it comes. The process is a
part of what is given, drawn in :mod:`datagen.simulator.contexts`; thresholds and placement do not
touch it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require

__all__ = [
    "CONTEXTS",
    "CONTEXT_NAMES",
    "ContextSchedule",
    "ContextSwitching",
    "Contexts",
    "contexts_from_parameters",
]

Clock = Literal["time", "jobs"]

CLOCKS: tuple[Clock, ...] = get_args(Clock)
"""What may be counted, by stored code: append only."""

MOST_SWITCHES_PER_JOB = 1000.0
"""Contexts that change more often between two jobs are as good as drawn anew for each of them,
which is what no process at all means; following them would only cost time."""

LONGEST_HOLDING = 1e100
"""For ever, as good as: sums of longer whiles would not be finite."""


class Contexts(ABC):
    """When the jobs of a chain meet which context of its trace."""

    __slots__ = ()
    name: ClassVar[str]
    is_stationary: ClassVar[bool] = True

    @abstractmethod
    def shares(self, contexts: int) -> NDArray[np.float64]:
        """Return the long-run share of jobs in each context.

        Args:
            contexts: Number of contexts K, >= 1.

        Returns:
            Shares [K], which sum to 1.
        """

    @abstractmethod
    def check(self, field: str, contexts: int, rate: float) -> None:
        """Check the process against the chain it belongs to.

        Args:
            field: What to call it in errors.
            contexts: Number of contexts of the chain's trace.
            rate: Arrival rate of the chain [1/s].

        Raises:
            InvalidInputError: If it does not fit.
        """

    @abstractmethod
    def parameters(self) -> tuple[float, ...]:
        """Return the numbers that :func:`contexts_from_parameters` rebuilds the process from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextSwitching(Contexts):
    """A Markov process: a context holds for a random while, then another one follows.

    The while is exponential in time, or geometric in jobs; the next context is any of the others,
    each as likely. The first context is drawn by the long-run shares, which are proportional to
    the mean whiles.

    Args:
        holding: Mean while of each context, [s] > 0 or [jobs] >= 1; at least two.
        by: What the while is counted in, ``time`` or ``jobs``.

    Example:
        >>> ContextSwitching(holding=(30.0, 10.0)).shares(2).tolist()
        [0.75, 0.25]
    """

    name: ClassVar[str] = "switching"
    holding: tuple[float, ...]
    by: Clock = "time"

    def __post_init__(self) -> None:
        object.__setattr__(self, "holding", tuple(float(x) for x in self.holding))
        require(self.by in CLOCKS, "by", f"be one of {', '.join(CLOCKS)}", self.by)
        require(len(self.holding) > 1, "holding", "hold at least two values", self.holding)
        proper = all(0 < x <= LONGEST_HOLDING for x in self.holding)
        require(proper, "holding", f"be > 0 and at most {LONGEST_HOLDING:g}", self.holding)
        least = self.by == "time" or min(self.holding) >= 1
        require(least, "holding", "be at least one job", self.holding)

    def shares(self, contexts: int) -> NDArray[np.float64]:
        holding = np.array(self.holding)
        return np.asarray(holding / holding.sum())

    def check(self, field: str, contexts: int, rate: float) -> None:
        matching = len(self.holding) == contexts
        require(matching, f"{field}.holding", f"hold {contexts} values, as the trace", self.holding)
        followed = self.by == "jobs" or min(self.holding) * rate * MOST_SWITCHES_PER_JOB >= 1
        rule = f"be at least {1 / (MOST_SWITCHES_PER_JOB * rate):.3g} s, 0.001 of the time per job"
        require(followed, f"{field}.holding", rule, self.holding)

    def parameters(self) -> tuple[float, ...]:
        return (float(CLOCKS.index(self.by)), *self.holding)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextSchedule(Contexts):
    """Contexts by a timetable; the last one lasts for ever.

    Args:
        times: When each context begins [s], increasing, the first 0.
        contexts: Which one it is, >= 0.
    """

    name: ClassVar[str] = "schedule"
    is_stationary: ClassVar[bool] = False
    times: tuple[float, ...]
    contexts: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", tuple(float(x) for x in self.times))
        require(len(self.times) > 0 and self.times[0] == 0, "times", "start at 0", self.times)
        increasing = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        require(increasing and math.isfinite(self.times[-1]), "times", "increase", self.times)
        matching = len(self.contexts) == len(self.times)
        require(matching, "contexts", f"have length {len(self.times)} like times", self.contexts)
        whole = all(math.isfinite(x) and x == int(x) and x >= 0 for x in self.contexts)
        require(whole, "contexts", "be whole numbers >= 0", self.contexts)
        object.__setattr__(self, "contexts", tuple(int(x) for x in self.contexts))

    def shares(self, contexts: int) -> NDArray[np.float64]:
        # Loads are those of the end, as where a rate follows a schedule.
        return np.asarray(np.arange(contexts) == self.contexts[-1], dtype=np.float64)

    def check(self, field: str, contexts: int, rate: float) -> None:
        known = max(self.contexts) < contexts
        require(known, f"{field}.contexts", f"lie in [0, {contexts})", self.contexts)

    def parameters(self) -> tuple[float, ...]:
        return (*self.times, *self.contexts)


CONTEXTS: dict[str, type[Contexts]] = {
    process.name: process for process in (ContextSwitching, ContextSchedule)
}
"""Every process of contexts by its name in documents. The order fixes stored codes: append only."""

CONTEXT_NAMES: tuple[str, ...] = tuple(CONTEXTS)
"""Process names by stored code."""


def contexts_from_parameters(code: int, parameters: NDArray[np.float64]) -> Contexts:
    """Rebuild a process of contexts from its stored form.

    Args:
        code: Index into :data:`CONTEXT_NAMES`.
        parameters: What :meth:`Contexts.parameters` gave.

    Returns:
        The process.

    Example:
        >>> contexts_from_parameters(0, np.array([1.0, 20.0, 5.0]))
        ContextSwitching(holding=(20.0, 5.0), by='jobs')
    """
    values = [float(value) for value in parameters]
    if CONTEXTS[CONTEXT_NAMES[code]] is ContextSwitching:
        return ContextSwitching(holding=tuple(values[1:]), by=CLOCKS[int(values[0])])
    half = len(values) // 2
    whole = tuple(int(value) for value in values[half:])
    return ContextSchedule(times=tuple(values[:half]), contexts=whole)
