"""The pace of a search: how many candidates to ask for at once, learnt from measured time."""

from __future__ import annotations

import math
from collections.abc import Callable

from surrogate.optimizers.budget import Budget, Clock

__all__ = ["Pace"]

LARGEST_BATCH = 512
"""Candidates at once: enough for two threads to gain all they can, and searches lose rounds."""

ROUNDS = 1000
"""Batches that a budget in seconds should hold: annealing makes one step of each row per batch, and
many steps of a few rows find far better placements than few steps of many rows."""

LEAST_ROUNDS = 25
"""Batches that it should hold even where calls are dear."""

WORK_PER_CALL = 4.0
"""Time of a batch over the fixed time of a call, where rounds allow it: a network takes a while for
a single candidate, and batches that are too small would spend the budget on being called."""

EVALUATION_ROUNDS = 150
"""Batches that a budget of evaluations should hold at least; these are few and dear."""

WARM_BATCH = 32
"""Largest batch that is tried beforehand."""

GROW_BELOW, SHRINK_ABOVE = 0.7, 2.0
"""Time of a batch, over its share of the budget, at which sizes double and halve: twice the batch
takes at most twice the time, so that sizes do not swing."""


class Pace:
    """Chooses batch sizes: large for fast evaluators, single candidates for slow ones.

    A budget of evaluations alone fixes the size, so that a run can be repeated exactly.

    Args:
        budget: What may be spent.
        reserve: Time kept for selection [s].
        planned: Evaluations of the whole run, or None without a limit.
    """

    def __init__(self, budget: Budget, *, reserve: float, planned: int | None) -> None:
        self._now = budget.now
        self._reserve = reserve
        self._cap = LARGEST_BATCH
        self._target = math.inf
        self._size = LARGEST_BATCH
        if planned is not None:
            self._cap = max(1, min(LARGEST_BATCH, planned // EVALUATION_ROUNDS))
            self._size = self._cap
        if budget.seconds is not None:
            self._searching = max(budget.seconds - reserve, 0.0)
            self._target = self._searching / ROUNDS
            self._size = 1
        self._each = 0.0

    def warm_up(self, evaluate: Callable[[int], object]) -> None:
        """Make later calls pay for no loading, and find the size to begin with.

        Args:
            evaluate: Evaluates a number of candidates.
        """
        evaluate(1)
        if math.isinf(self._target):
            return
        longest = self._searching / LEAST_ROUNDS
        taken = alone = self._timed(evaluate, 1)
        size, most = 1, min(WARM_BATCH, self._cap)
        while 2 * size <= most and taken < longest:
            size *= 2
            taken = self._timed(evaluate, size)
            more = max(taken - alone, 0.0) / (size - 1)  # per candidate beyond the first
            wanted = max(self._searching / ROUNDS, WORK_PER_CALL * (alone - more))
            self._target = min(wanted, longest)
            if taken <= self._target:
                self._size = size

    def _timed(self, evaluate: Callable[[int], object], size: int) -> float:
        """Return the time that a batch takes [s], and remember it per candidate."""
        began = self._now()
        evaluate(size)
        taken = self._now() - began
        self._each = taken / size
        return taken

    def size(self, clock: Clock) -> int:
        """Return the size of the next batch.

        Args:
            clock: The running budget.

        Returns:
            A number of candidates that should fit what is left, >= 1.
        """
        size = min(self._size, clock.evaluations_left())
        left = clock.seconds_left(self._reserve)
        if self._each > 0 and left < self._each * size:
            size = left / self._each
        return max(1, int(size))

    def saw(self, count: int, seconds: float) -> None:
        """Learn from a batch.

        Args:
            count: Its size.
            seconds: How long it took, asking and telling included [s].
        """
        self._each = seconds / count
        if math.isinf(self._target) or count < self._size:
            return
        if seconds < GROW_BELOW * self._target:
            self._size = min(2 * self._size, self._cap)
        elif seconds > SHRINK_ABOVE * self._target:
            self._size = max(1, self._size // 2)
