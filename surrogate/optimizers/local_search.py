"""Greedy local search: the best of a batch of neighbours, as long as it is better; then a kick.

The first batch holds the start and placements by rules; the search goes on from the best of them.
Where no neighbour is better for a while, the best placement so far is changed in several places,
from where the search goes down again. With ``kicks=False`` it ends there instead.

References:
    Lourenco, Martin and Stuetzle, Iterated local search, Handbook of Metaheuristics, 2003.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation import Candidates
from surrogate.optimizers.baselines import first_rows
from surrogate.optimizers.moves import propose
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import PlacementSpace

__all__ = ["LocalSearch"]

Floats = NDArray[np.float64]


class LocalSearch(Search):
    """Greedy descent from the best placement, with kicks.

    Args:
        patience: Neighbours without a better one, per fragment, before a kick, > 0: with two, most
            moves of single fragments between a few devices have been tried.
        kick: Random moves of a kick, >= 1.
        kicks: Whether to go on after the first descent.

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(self, *, patience: float = 2.0, kick: int = 3, kicks: bool = True) -> None:
        require(patience > 0, "patience", "be > 0", patience)
        require(kick >= 1, "kick", "be >= 1", kick)
        self.patience, self.kick, self.kicks = patience, kick, kicks

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._current = self._best = space.start
        self._value: float | None = None
        self._best_value: float | None = None
        self._failed = 0
        self._done = False

    @property
    def finished(self) -> bool:
        return self._done

    def ask(self, count: int) -> Candidates:
        if self._best_value is None:
            return self._space.candidates(first_rows(self._space, count, self._rng))
        neighbours = propose(self._space, np.tile(self._current, (count, 1)), self._rng)
        return self._space.candidates(neighbours)

    def tell(self, candidates: Candidates, values: Floats) -> None:
        row = int(np.argmin(values))
        value = float(values[row])
        if self._value is None or value < self._value:  # whatever a kick led to is gone on from
            self._current, self._value = candidates.placement[row].copy(), value
            self._failed = 0
        else:
            self._failed += len(values)
        if self._best_value is None or self._value < self._best_value:
            self._best, self._best_value = self._current, self._value
        if self._failed >= self.patience * self._space.slots:
            self._done = not self.kicks
            self._kick()

    def _kick(self) -> None:
        kicked = self._best[None]
        for _ in range(self.kick):
            kicked = propose(self._space, kicked, self._rng)
        self._current, self._value, self._failed = kicked[0], None, 0

    def state(self) -> dict[str, Any]:
        return {
            "rng": self._rng.bit_generator.state,
            "current": self._current,
            "value": self._value,
            "best": self._best,
            "best_value": self._best_value,
            "failed": self._failed,
            "done": self._done,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
        self._current = np.array(state["current"], dtype=np.int32)
        self._best = np.array(state["best"], dtype=np.int32)
        self._value, self._best_value = state["value"], state["best_value"]
        self._failed, self._done = state["failed"], state["done"]
