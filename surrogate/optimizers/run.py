"""One search under way: asks, evaluates and tells until a limit is reached, and can be saved."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import Evaluator
from surrogate.optimizers.archive import Archive, Improvement
from surrogate.optimizers.budget import Clock
from surrogate.optimizers.front import Front
from surrogate.optimizers.goal import Goal
from surrogate.optimizers.pace import Pace
from surrogate.optimizers.proof import FINALISTS
from surrogate.optimizers.result import Status
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import Placements, PlacementSpace
from surrogate.optimizers.state import SearchState

__all__ = ["Callback", "Run"]

_log = logging.getLogger(__name__)

Callback = Callable[[Improvement], None]
"""Called after every batch with the evaluations and seconds so far and the incumbent's value; to
stop a search it may raise KeyboardInterrupt."""


@dataclass(frozen=True, kw_only=True)
class _Moment:
    """What changes from batch to batch; every array is replaced, never written into."""

    inner: dict[str, Any]
    evaluations: int
    seconds: float
    archive: tuple[Placements, NDArray[np.float64]]
    front: tuple[Placements, NDArray[np.float64]]
    improvements: int


class Run:
    """A search under way.

    Args:
        space: The placements of the problem.
        evaluator: Judges candidates.
        search: Proposes them; has begun on the space.
        goal: What is minimised.
        clock: The running budget.
        seed: Seed of the search.
        finalists: How many of the best candidates are kept to be simulated.
    """

    def __init__(
        self,
        space: PlacementSpace,
        evaluator: Evaluator,
        search: Search,
        goal: Goal,
        clock: Clock,
        seed: int,
        finalists: int = FINALISTS,
    ) -> None:
        self.space, self.evaluator, self.clock, self.goal = space, evaluator, clock, goal
        self.seed = seed
        self._search, self._judge = search, evaluator.without_details()
        self.archive = Archive(finalists, space.slots)
        self.front = Front(space.slots, len(goal.objectives))
        self._last = self._moment()

    def _moment(self) -> _Moment:
        return _Moment(
            inner=self._search.state(),
            evaluations=self.clock.evaluations,
            seconds=self.clock.seconds,
            archive=(self.archive.placements, self.archive.values),
            front=(self.front.placements, self.front.values),
            improvements=len(self.archive.history),
        )

    def to_the_end(self, pace: Pace, reserve: float, callback: Callback | None) -> Status:
        """Ask, evaluate and tell until a limit is reached.

        Args:
            pace: Chooses the sizes of the batches.
            reserve: Time to keep for selection [s].
            callback: Told of the progress after every batch.

        Returns:
            Why it ended.
        """
        clock = self.clock
        try:
            while not self._search.finished:
                limit = clock.reached(reserve)
                if limit is not None:
                    return limit
                self._search.progress = clock.spent(reserve)
                self._search.seconds_left = clock.seconds_left(reserve)
                began, count = clock.seconds, pace.size(clock)
                self._round(count)
                pace.saw(count, clock.seconds - began)
                if callback is not None:
                    callback(self._progress())
        except KeyboardInterrupt:
            _log.warning("search interrupted after %d evaluations", clock.evaluations)
            return "interrupted"
        return "completed"

    def _round(self, count: int) -> None:
        candidates = self._search.ask(count)
        measures = self._judge.evaluate(candidates)
        rows = self.space.rows(candidates)
        values = self.goal.values(measures, self.space.excess(rows))
        self.clock.evaluations += len(candidates)
        self.archive.add(
            rows,
            values[:, 0],
            evaluations=self.clock.evaluations,
            seconds=self.clock.seconds,
        )
        if len(self.goal.objectives) > 1:
            self.front.add(rows, values)
        self._search.tell(candidates, values if self._search.takes_several else values[:, 0])
        self._last = self._moment()

    def _progress(self) -> Improvement:
        return Improvement(
            evaluations=self.clock.evaluations,
            seconds=self.clock.seconds,
            value=self.archive.best,
        )

    def state(self) -> SearchState:
        """Return where the search stood after the last whole batch."""
        last = self._last
        names = ("placements", "values")
        return SearchState(
            search=type(self._search).__name__,
            seed=self.seed,
            start=self.space.start.tolist(),
            objectives=list(self.goal.names),
            evaluations=last.evaluations,
            seconds=last.seconds,
            inner=last.inner,
            archive=dict(zip(names, last.archive, strict=True)),
            front=dict(zip(names, last.front, strict=True)),
            history=[asdict(item) for item in self.archive.history[: last.improvements]],
        )

    def restore(self, state: SearchState) -> None:
        """Go on from a saved state; the clock has been started with its spendings.

        Args:
            state: A state of the same search on the same problem.

        Raises:
            InvalidInputError: If it is of another run.
        """
        state.require_same(
            search=type(self._search).__name__,
            seed=self.seed,
            start=self.space.start.tolist(),
            objectives=list(self.goal.names),
        )
        self._search.restore(state.inner)
        for kept, saved in ((self.archive, state.archive), (self.front, state.front)):
            shape = (-1, self.space.slots)
            kept.placements = np.array(saved["placements"], dtype=np.int32).reshape(shape)
            kept.values = np.array(saved["values"], dtype=np.float64).reshape((
                -1,
                *kept.values.shape[1:],
            ))
        self.archive.history = [Improvement(**item) for item in state.history]
        self._last = self._moment()
