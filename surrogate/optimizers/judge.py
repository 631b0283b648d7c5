"""A judge of moves: an evaluator that is asked about no placement twice, and within a budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.errors import NotSupportedError
from datagen.evaluation import Evaluator
from surrogate.optimizers.budget import Clock
from surrogate.optimizers.goal import Goal
from surrogate.optimizers.migration import Migration
from surrogate.optimizers.space import Placements
from surrogate.optimizers.watch import SEARCH, Watch, unwatched

__all__ = ["BATCH", "BudgetSpentError", "Judge"]

Floats = NDArray[np.float64]

BATCH = 256
"""Placements that the evaluator is asked about at once."""


class BudgetSpentError(Exception):
    """Something would have to be asked when the budget is spent; nobody outside gets to see it."""


class Judge:
    """Asks an evaluator about the loss of placements, and remembers every answer.

    Args:
        migration: The moves.
        evaluator: The evaluator.
        clock: The running budget.
        watch: Told what share of the budget is spent.

    Attributes:
        screen: A cheap approximation that is no judge, or None.
    """

    def __init__(
        self,
        migration: Migration,
        evaluator: Evaluator,
        clock: Clock,
        watch: Watch = unwatched,
    ) -> None:
        self.migration, self._clock, self._watch = migration, clock, watch
        self._evaluator = evaluator.without_details()
        self._goal = Goal()
        self.screen = _screen(migration, evaluator)
        self._known: dict[bytes, float] = {}
        self.spend(1.0)

    def spend(self, share: float) -> None:
        """Allow for a share of what is left of the budget, from now on.

        Args:
            share: In (0, 1].
        """
        kept = 1.0 - share
        self._kept_seconds = kept * self._clock.seconds_left() if kept > 0 else 0.0
        self._kept_evaluations = kept * self._clock.evaluations_left() if kept > 0 else 0.0

    def _evaluations_left(self) -> float:
        left = self._clock.evaluations_left()
        return left if np.isinf(left) else left - self._kept_evaluations

    def check(self) -> None:
        """Raise if what is allowed for is spent.

        Raises:
            BudgetSpentError: If it is.
        """
        left = self._clock.seconds_left()
        late = np.isfinite(left) and left <= self._kept_seconds
        if late or self._evaluations_left() < 1:
            raise BudgetSpentError

    def loss(self, rows: Placements) -> Floats:
        """Return the loss of placements, or a large value of what does not fit.

        Args:
            rows: Device index per slot [B, F].

        Returns:
            Values [B], see :func:`surrogate.optimizers.goal.penalized`.

        Raises:
            BudgetSpentError: If something would have to be asked when the budget is spent.
        """
        space = self.migration.space
        keys = [row.tobytes() for row in rows]
        new = list({key: k for k, key in enumerate(keys) if key not in self._known}.values())
        for first in range(0, len(new), BATCH):
            self.check()
            part = new[first : first + int(min(BATCH, self._evaluations_left()))]
            candidates = space.candidates(rows[part])
            measures = self._evaluator.evaluate(candidates)
            values = self._goal.values(measures, space.excess(candidates.placement))[:, 0]
            self._clock.evaluations += len(part)
            self._watch(SEARCH, self._clock.spent())
            self._known.update(zip((keys[k] for k in part), values.tolist(), strict=True))
        if not all(key in self._known for key in keys):
            raise BudgetSpentError
        return np.array([self._known[key] for key in keys])

    def screened(self, rows: Placements) -> Floats:
        """Return the loss of placements by the approximation; such questions are not counted.

        Args:
            rows: Device index per slot [B, F].

        Returns:
            Values [B], like those of :meth:`loss`.
        """
        assert self.screen is not None
        space = self.migration.space
        measures = self.screen.evaluate(space.candidates(rows))
        return np.asarray(self._goal.values(measures, space.excess(rows))[:, 0])

    def best(self) -> Placements:
        """Return the placement of least loss among all that were asked about [F]."""
        key = min(self._known, key=self._known.__getitem__)
        return np.frombuffer(key, dtype=np.int32)


def _screen(migration: Migration, evaluator: Evaluator) -> Evaluator | None:
    """Return the analytic approximation where it covers the problem and is not itself the judge."""
    screen = AnalyticEvaluator()
    if isinstance(evaluator, AnalyticEvaluator):
        return None
    try:
        screen.evaluate(migration.space.repeated_start(1))
    except NotSupportedError:
        return None
    return screen.without_details()
