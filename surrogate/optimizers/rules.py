"""Placements that are computed, not searched, where a search is expected.

A rule knows nothing of the evaluator: it is asked once, and its placement is judged beside the
start, as every finalist of a search is. These are the classical baselines of placement.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation import Candidates
from surrogate.optimizers.baselines import first_fit, least_loaded, round_robin
from surrogate.optimizers.cuts import best_cuts
from surrogate.optimizers.integer_program import integer_placement
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["RULES", "Rule", "RuleSearch"]

_log = logging.getLogger(__name__)

Rule = Callable[[PlacementSpace, float | None], Placements | None]
"""Given the placements of a problem and the time left [s], None for no limit: a placement [F], or
None where there is none."""


def _integer(space: PlacementSpace, seconds: float | None) -> Placements | None:
    found = integer_placement(space, seconds=seconds)
    if found.placement is None:
        _log.warning("the integer program ended without a placement: %s", found.status)
    elif found.status != "optimal":
        _log.warning("the integer program ran out of time: its placement may not be the best")
    return found.placement


RULES: dict[str, Rule] = {
    "first-fit": lambda space, _: first_fit(space),
    "ilp": _integer,
    "least-loaded": lambda space, _: least_loaded(space),
    "neurosurgeon": lambda space, _: best_cuts(space),
    "round-robin": lambda space, _: round_robin(space),
}
"""Rules by their names in command lines."""

LEAST_SECONDS = 1e-3
"""What a solver is given where nothing is left: it has to be asked to be able to answer."""


class RuleSearch(Search):
    """Proposes the start and the placement of a rule, and is finished.

    Args:
        name: One of :data:`RULES`.

    Raises:
        InvalidInputError: If there is no such rule.
    """

    def __init__(self, name: str) -> None:
        require(name in RULES, "rule", f"be one of {', '.join(RULES)}", name)
        self.name = name

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        self._space = space
        self._asked = 0

    @property
    def finished(self) -> bool:
        return self._asked >= 2

    def ask(self, count: int) -> Candidates:
        rows = [self._space.start]
        if self._asked + count > 1:
            rows.append(self._ruled())
        order = np.minimum(np.arange(self._asked, self._asked + count), 1)
        self._asked += count
        return self._space.candidates(np.stack(rows)[order])

    def _ruled(self) -> Placements:
        """Return the placement of the rule; the start where it has none."""
        left = None if np.isinf(self.seconds_left) else max(self.seconds_left, LEAST_SECONDS)
        found = RULES[self.name](self._space, left)
        return self._space.start if found is None else found

    def tell(self, candidates: Candidates, values: NDArray[np.float64]) -> None:
        """Learn nothing."""

    def state(self) -> dict[str, Any]:
        return {"asked": self._asked}

    def restore(self, state: dict[str, Any]) -> None:
        self._asked = state["asked"]
