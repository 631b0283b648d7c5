"""Budgets: how long a search may go on, in time, evaluations, or both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from datagen.errors import require

__all__ = ["Budget", "Clock", "Limit", "TimeKind"]

Limit = Literal["time_limit", "evaluation_limit"]
TimeKind = Literal["wall", "processor"]

TIMERS: dict[TimeKind, Callable[[], float]] = {
    "wall": time.perf_counter,
    "processor": time.process_time,
}
"""What counts the seconds of a budget. Processor time is that of all threads of this process: it
compares searches on a machine with other work, where the wall clock would compare their luck."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a search may spend; it covers search and selection, and is respected within one batch.

    A budget of evaluations alone gives the same run for the same seed, on any machine.

    Args:
        seconds: Time [s], > 0, or None for no limit.
        evaluations: Placements evaluated, >= 1, or None for no limit.
        planned: Evaluations of the whole run where this budget is for the first part of one that
            will be resumed, >= evaluations: batches and schedules are laid out for it, and the part
            ends with the batch in which its evaluations are spent.
        time: Which time the seconds are of, ``wall`` or ``processor``.

    Raises:
        InvalidInputError: If neither limit is given or a number breaks its rule.
    """

    seconds: float | None = None
    evaluations: int | None = None
    planned: int | None = None
    time: TimeKind = "wall"

    def __post_init__(self) -> None:
        limited = self.seconds is not None or self.evaluations is not None
        require(limited, "budget", "limit seconds or evaluations", None)
        if self.seconds is not None:
            proper = 0 < self.seconds < float("inf")
            require(proper, "seconds", "be finite and > 0", self.seconds)
        if self.evaluations is not None:
            whole = self.evaluations == int(self.evaluations) and self.evaluations >= 1
            require(whole, "evaluations", "be a whole number >= 1", self.evaluations)
        if self.planned is not None:
            enough = self.evaluations is not None and self.planned >= self.evaluations
            require(enough, "planned", f"be >= evaluations, {self.evaluations}", self.planned)
        require(self.time in TIMERS, "time", f"be one of {', '.join(TIMERS)}", self.time)

    def now(self) -> float:
        """Return the present time on the budget's clock [s]; only differences mean anything."""
        return TIMERS[self.time]()

    def start(self, *, evaluations: int = 0, seconds: float = 0.0) -> Clock:
        """Start the clock.

        Args:
            evaluations: Evaluations that earlier parts of the run spent.
            seconds: Time that they took [s].

        Returns:
            A clock that counts from now.
        """
        return Clock(self, evaluations=evaluations, seconds=seconds)

    def laid_out_for(self, evaluations: int = 0) -> int | None:
        """Return the evaluations that batches and schedules are laid out for.

        Args:
            evaluations: Evaluations that earlier parts of the run spent.

        Returns:
            Evaluations of the whole run; None without a limit.
        """
        if self.evaluations is None:
            return None
        return self.planned or evaluations + int(self.evaluations)


class Clock:
    """A running budget.

    Args:
        budget: What may be spent from now on.
        evaluations: Evaluations that earlier parts of the run spent.
        seconds: Time that they took [s].
    """

    def __init__(self, budget: Budget, *, evaluations: int = 0, seconds: float = 0.0) -> None:
        self.budget = budget
        self.evaluations = evaluations
        self.planned = budget.laid_out_for(evaluations)
        self._end = None if budget.evaluations is None else evaluations + budget.evaluations
        self._earlier = seconds
        self._began = budget.now()

    @property
    def seconds(self) -> float:
        """Time of the run, earlier parts included [s]."""
        return self._earlier + self.budget.now() - self._began

    def seconds_left(self, reserve: float = 0.0) -> float:
        """Return the time left when some is kept for later.

        Args:
            reserve: Time to keep [s].

        Returns:
            Time [s]; infinity without a limit, negative once exceeded.
        """
        if self.budget.seconds is None:
            return float("inf")
        return self.budget.seconds - reserve - (self.seconds - self._earlier)

    def evaluations_left(self) -> float:
        """Return the evaluations left of the whole run; infinity without a limit."""
        return float("inf") if self.planned is None else self.planned - self.evaluations

    def spent(self, reserve: float = 0.0) -> float:
        """Return the share of the tighter limit that is spent.

        Args:
            reserve: Time to keep for later [s].

        Returns:
            Share in [0, 1].
        """
        shares = [0.0]
        if self.budget.seconds is not None:
            usable = max(self.budget.seconds - reserve, 1e-9)
            shares.append((self.seconds - self._earlier) / usable)
        if self.planned is not None:
            shares.append(self.evaluations / self.planned)
        return min(max(shares), 1.0)

    def reached(self, reserve: float = 0.0) -> Limit | None:
        """Tell which limit is reached.

        Args:
            reserve: Time to keep for later [s].

        Returns:
            The limit, or None while there is something left.
        """
        if self.evaluations_left() <= 0 or (
            self._end is not None and self.evaluations >= self._end
        ):
            return "evaluation_limit"
        return "time_limit" if self.seconds_left(reserve) <= 0 else None
