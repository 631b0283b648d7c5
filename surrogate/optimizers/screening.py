"""Annealing in two stages: a cheap approximation searches first, a better judge from there.

Formulas judge a placement in a tenth of the time of a network and are nearly as good at telling
good from bad; they are wrong in the last steps. So annealing first asks the approximation, in
rounds between which the best placements that it came by are shown to the judge; then it goes on
with the judge alone from what that found best.

References:
    Jin, Surrogate-assisted evolutionary computation: recent advances and future challenges, Swarm
    and Evolutionary Computation 1, 2011 (pre-selection by a cheaper model).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.errors import NotSupportedError, require
from datagen.evaluation import Candidates, Evaluator
from surrogate.optimizers.annealing import Annealing
from surrogate.optimizers.archive import Archive
from surrogate.optimizers.evolution import NondominatedSearch
from surrogate.optimizers.goal import Goal
from surrogate.optimizers.moves import propose
from surrogate.optimizers.objective import Objective
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["ScreenedAnnealing", "default_search"]

Floats = NDArray[np.float64]

SCREENED_BATCH = 32
"""Placements that the approximation is asked about at once: enough to outweigh the cost of a call,
few enough for many steps."""

MOST_BATCHES = 32
"""Batches between two looks of the judge: the temperature has to fall in between."""

FIRST_BATCHES = 8
"""Batches before the first look: until then, how fast the budget goes is not known."""

KEPT = 256
"""Best placements that are remembered: of the screen to show them, of the judge to go on from."""


class ScreenedAnnealing(Search):
    """Annealing that a cheap evaluator prepares.

    Args:
        screen: The cheap evaluator, by default the analytic one; what it is asked is not counted as
            evaluations.
        goal: What is minimised; the system loss ratio by default.
        share: Share of the budget after which the judge is asked alone, in (0, 1).
        screened: Placements that the screen sees for each that is shown to the judge, >= 1; fewer
            where the judge is shown many at once.
        tries: Neighbours of a row that are judged at once, >= 1.

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(
        self,
        screen: Evaluator | None = None,
        goal: Goal | None = None,
        *,
        share: float = 0.85,
        screened: int = 100,
        tries: int = 8,
    ) -> None:
        require(0 < share < 1, "share", "lie in (0, 1)", share)
        require(screened >= 1, "screened", "be >= 1", screened)
        self.screen = (screen or AnalyticEvaluator()).without_details()
        self.goal = goal or Goal()
        self.share, self.screened = share, screened
        self._first, self._second = Annealing(tries=tries), Annealing(cycles=1, tries=tries)

    @classmethod
    def driven_by(cls, evaluator: Evaluator, objective: Objective) -> ScreenedAnnealing:
        return cls(goal=Goal.of(objective))

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        self._space = space
        first, second, self._rng = rng.spawn(3)
        self._first.begin(space, first)
        self._second.begin(space, second)
        self._screened = Archive(KEPT, space.slots)
        self._judged = Archive(KEPT, space.slots)
        self._seen: set[bytes] = set()
        self._alone = False
        self._before, self._batches = 0.0, 0
        self.progress = 0.0

    def ask(self, count: int) -> Candidates:
        if self.progress < self.share and not self._alone:
            return self._space.candidates(self._best_screened(count))
        self._second.progress = (self.progress - self.share) / (1.0 - self.share)
        if not self._alone:
            self._alone = True
            if len(self._judged.values) > 0:
                known = self._space.candidates(self._judged.placements)
                self._second.tell(known, self._judged.values)
        return self._second.ask(count)

    def _best_screened(self, count: int) -> Placements:
        """Let the screen search, and return its best placements that the judge has not seen."""
        rows: list[Placements] = []
        if not self._seen:
            rows.append(self._space.start)
            self._seen.add(self._space.start.tobytes())
        # What is told of the progress stands still meanwhile: go on at the pace of the last time.
        pace = (self.progress - self._before) / max(self._batches, 1)
        self._before = self.progress
        most = MOST_BATCHES if self._batches else FIRST_BATCHES
        self._batches = min(-(-self.screened * count // SCREENED_BATCH), most)
        for batch in range(self._batches):
            self._first.progress = min((self.progress + batch * pace) / self.share, 1.0)
            candidates = self._first.ask(SCREENED_BATCH)
            excess = self._space.excess(candidates.placement)
            values = self.goal.values(self.screen.evaluate(candidates), excess)[:, 0]
            self._screened.add(candidates.placement, values, evaluations=0, seconds=0.0)
            self._first.tell(candidates, values)
        rows += [row for row in self._screened.placements if row.tobytes() not in self._seen]
        rows = rows[:count]
        while len(rows) < count:  # the screen keeps to what it found: look around that
            around = self._screened.placements[: count - len(rows)]
            rows += list(propose(self._space, around, self._rng))
        self._seen.update(row.tobytes() for row in rows)
        return np.stack(rows)

    def tell(self, candidates: Candidates, values: Floats) -> None:
        if self._alone:
            self._second.tell(candidates, values)
        else:
            self._judged.add(candidates.placement, values, evaluations=0, seconds=0.0)

    def state(self) -> dict[str, Any]:
        kept = {"screened": self._screened, "judged": self._judged}
        return {
            "first": self._first.state(),
            "second": self._second.state(),
            "rng": self._rng.bit_generator.state,
            "alone": self._alone,
            "before": self._before,
            "batches": self._batches,
            "seen": [np.frombuffer(row, dtype=np.int32) for row in sorted(self._seen)],
            "progress": self.progress,
        } | {name: [each.placements, each.values] for name, each in kept.items()}

    def restore(self, state: dict[str, Any]) -> None:
        self._first.restore(state["first"])
        self._second.restore(state["second"])
        self._rng.bit_generator.state = state["rng"]
        self._alone, self.progress = state["alone"], state["progress"]
        self._before, self._batches = state["before"], state["batches"]
        self._seen = {np.array(row, dtype=np.int32).tobytes() for row in state["seen"]}
        for name, kept in (("screened", self._screened), ("judged", self._judged)):
            placements, values = state[name]
            kept.placements = np.array(placements, dtype=np.int32).reshape(-1, self._space.slots)
            kept.values = np.array(values, dtype=np.float64)


def default_search(space: PlacementSpace, evaluator: Evaluator, goal: Goal) -> Search:
    """Return the search that is used where the user names none.

    Args:
        space: The placements of the problem.
        evaluator: The judge.
        goal: What is minimised.

    Returns:
        NSGA-II for several objectives. For one, annealing, prepared by the analytic approximation
        where that covers the problem, knows what is minimised, and is not itself the judge.
    """
    if len(goal.objectives) > 1:
        return NondominatedSearch()
    screen = AnalyticEvaluator()
    if isinstance(evaluator, AnalyticEvaluator):
        return Annealing()
    try:
        goal.require_known(screen.evaluate(space.repeated_start(1)))
    except NotSupportedError:
        return Annealing()
    return ScreenedAnnealing(screen, goal)
