"""Budgets: how long a search may go on, in wall-clock time, evaluations, or both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from datagen.errors import require

__all__ = ["Budget", "Clock", "Limit"]

Limit = Literal["time_limit", "evaluation_limit"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a search may spend; it covers search and selection, and is respected within one batch.

    A budget of evaluations alone gives the same run for the same seed, on any machine.

    Args:
        seconds: Wall-clock time [s], > 0, or None for no limit.
        evaluations: Placements evaluated, >= 1, or None for no limit.

    Raises:
        InvalidInputError: If neither is given or one is not positive.
    """

    seconds: float | None = None
    evaluations: int | None = None

    def __post_init__(self) -> None:
        limited = self.seconds is not None or self.evaluations is not None
        require(limited, "budget", "limit seconds or evaluations", None)
        if self.seconds is not None:
            proper = 0 < self.seconds < float("inf")
            require(proper, "seconds", "be finite and > 0", self.seconds)
        if self.evaluations is not None:
            whole = self.evaluations == int(self.evaluations) and self.evaluations >= 1
            require(whole, "evaluations", "be a whole number >= 1", self.evaluations)

    def start(self) -> Clock:
        """Start the clock.

        Returns:
            A clock that counts from now.
        """
        return Clock(self)


class Clock:
    """A running budget.

    Args:
        budget: What may be spent.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.evaluations = 0
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time since the start [s]."""
        return time.perf_counter() - self._began

    def seconds_left(self, reserve: float = 0.0) -> float:
        """Return the time left when some is kept for later.

        Args:
            reserve: Time to keep [s].

        Returns:
            Time [s]; infinity without a limit, negative once exceeded.
        """
        if self.budget.seconds is None:
            return float("inf")
        return self.budget.seconds - reserve - self.seconds

    def evaluations_left(self) -> float:
        """Return the evaluations left; infinity without a limit."""
        if self.budget.evaluations is None:
            return float("inf")
        return self.budget.evaluations - self.evaluations

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
            shares.append(self.seconds / usable)
        if self.budget.evaluations is not None:
            shares.append(self.evaluations / self.budget.evaluations)
        return min(max(shares), 1.0)

    def reached(self, reserve: float = 0.0) -> Limit | None:
        """Tell which limit is reached.

        Args:
            reserve: Time to keep for later [s].

        Returns:
            The limit, or None while there is something left.
        """
        if self.evaluations_left() <= 0:
            return "evaluation_limit"
        return "time_limit" if self.seconds_left(reserve) <= 0 else None
