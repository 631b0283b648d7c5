"""Simulated annealing of many placements side by side, so that evaluators see large batches.

Each row is a Markov chain of its own: a random neighbour replaces it if it is better, or worse by
an amount the temperature allows. Several neighbours of a row are judged at once, and the first one
taken counts: where most are refused, that is as good as judging them one after the other.

The temperature falls with the share of the budget that is spent, several times over: a restart
warms up again from the best placement found. Now and then the worst rows are replaced by the best
ones, so that no budget is wasted on hopeless rows.

References:
    Kirkpatrick, Gelatt and Vecchi, Optimization by simulated annealing, Science 220, 1983.
    Witte, Chamberlain and Franklin, Parallel simulated annealing using speculative computation,
    IEEE Transactions on Parallel and Distributed Systems 2, 1991 (several neighbours at once).
    Aldous and Vazirani, Go with the winners algorithms, FOCS 1994 (replacing the worst rows).
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
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["Annealing"]

Floats = NDArray[np.float64]

EXCHANGE_EVERY = 10
"""Rounds between two replacements of the worst rows."""

EXCHANGED = 0.25
"""Share of the rows that is replaced."""

WARMTH = 0.3
"""First temperature over the mean change for the worse: one in thirty of such moves is taken."""

LARGEST_RISE = 1e6
"""Rises above this are from what fits to what does not; they say nothing about the objective."""

SMALLEST_TEMPERATURE = 1e-9
"""Stands in while every neighbour is as good as its original."""


class Annealing(Search):
    """Batched simulated annealing.

    Args:
        cycles: How often the temperature falls, >= 1.
        cooling: Last temperature of a cycle over its first, in (0, 1).
        tries: Neighbours of a row that are judged at once, >= 1.

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(self, *, cycles: int = 2, cooling: float = 1e-3, tries: int = 8) -> None:
        require(cycles >= 1, "cycles", "be >= 1", cycles)
        require(0 < cooling < 1, "cooling", "lie in (0, 1)", cooling)
        require(tries >= 1, "tries", "be >= 1", tries)
        self.cycles = cycles
        self.tries = tries
        self.cooling = cooling

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._current = np.empty((0, space.slots), dtype=np.int32)
        self._values: Floats = np.empty(0)
        self._row = np.empty(0, dtype=np.int64)
        self._best = space.start
        self._best_value = np.inf
        self._worsening: float | None = None
        self._rounds = 0
        self._cycle = 0
        self.progress = 0.0

    def ask(self, count: int) -> Candidates:
        if len(self._current) == 0:
            return self._space.candidates(first_rows(self._space, count, self._rng))
        self._resize(max(1, count // self.tries))
        self._row = np.arange(count) % len(self._current)
        return self._space.candidates(self._neighbours(self._row))

    def _neighbours(self, rows: NDArray[np.int64]) -> Placements:
        """Return a neighbour of the current placement of each of some rows [B, F]."""
        return propose(self._space, self._current[rows], self._rng)

    def tell(self, candidates: Candidates, values: Floats) -> None:
        best = int(np.argmin(values))
        if values[best] < self._best_value:
            self._best, self._best_value = candidates.placement[best].copy(), float(values[best])
        if len(self._current) == 0:
            rows = np.argsort(values, kind="stable")[: max(1, len(values) // self.tries)]
            self._current, self._values = candidates.placement[rows], values[rows]
            return
        self._take(candidates.placement, values)
        self._rounds += 1
        if self._rounds % EXCHANGE_EVERY == 0:
            self._exchange()
        self._restart_if_due()

    def _take(self, placement: Placements, values: Floats) -> None:
        """Replace each row by the first of its neighbours that the temperature lets pass."""
        rise = values - self._values[self._row]
        if self._worsening is None:
            worse = rise[(rise > 0) & (rise < LARGEST_RISE)]
            if len(worse):
                self._worsening = float(worse.mean())
        with np.errstate(under="ignore"):
            chance = np.exp(-np.maximum(rise, 0.0) / self._temperature())
        taken = np.flatnonzero((rise <= 0) | (self._rng.random(len(values)) < chance))
        row, first = np.unique(self._row[taken], return_index=True)
        self._current = self._current.copy()
        self._values = self._values.copy()
        self._current[row] = placement[taken[first]]
        self._values[row] = values[taken[first]]

    def _resize(self, rows: int) -> None:
        """Keep the best rows, or copy them, best first."""
        if rows != len(self._current):
            order = np.argsort(self._values, kind="stable")
            kept = np.resize(order, rows)
            self._current, self._values = self._current[kept], self._values[kept]

    def _temperature(self) -> float:
        within = self.progress * self.cycles % 1.0
        if self.progress >= 1.0:
            within = 1.0
        first = WARMTH * (self._worsening or 0.0)
        return max(float(first * self.cooling**within), SMALLEST_TEMPERATURE)

    def _exchange(self) -> None:
        moved = int(EXCHANGED * len(self._values))
        if moved:
            order = np.argsort(self._values, kind="stable")
            self._current[order[-moved:]] = self._current[order[:moved]]
            self._values[order[-moved:]] = self._values[order[:moved]]

    def _restart_if_due(self) -> None:
        cycle = min(int(self.progress * self.cycles), self.cycles - 1)
        if cycle > self._cycle:
            self._cycle = cycle
            half = np.argsort(self._values, kind="stable")[: (len(self._values) + 1) // 2]
            self._current[half] = self._best
            self._values[half] = self._best_value

    def state(self) -> dict[str, Any]:
        return {
            "rng": self._rng.bit_generator.state,
            "current": self._current.copy(),
            "values": self._values.copy(),
            "best": self._best.copy(),
            "best_value": None if np.isinf(self._best_value) else self._best_value,
            "worsening": self._worsening,
            "rounds": self._rounds,
            "cycle": self._cycle,
            "progress": self.progress,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
        current = np.array(state["current"], dtype=np.int32)
        self._current = current.reshape(-1, self._space.slots)
        self._values = np.array(state["values"], dtype=np.float64)
        self._best = np.array(state["best"], dtype=np.int32)
        self._best_value = np.inf if state["best_value"] is None else state["best_value"]
        self._worsening = state["worsening"]
        self._rounds, self._cycle = state["rounds"], state["cycle"]
        self.progress = state["progress"]
