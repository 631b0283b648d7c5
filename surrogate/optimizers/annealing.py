"""Simulated annealing of many placements side by side, so that evaluators see large batches.

Each row is a Markov chain of its own: a random neighbour replaces it if it is better, or worse by
an amount the temperature allows. The temperature falls with the share of the budget that is spent,
several times over: a restart warms up again from the best placements found. Now and then the worst
rows are replaced by the best ones, so that no budget is wasted on hopeless rows.

References:
    Kirkpatrick, Gelatt and Vecchi, Optimization by simulated annealing, Science 220, 1983.
    Aldous and Vazirani, Go with the winners algorithms, FOCS 1994 (replacing the worst rows).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation import Candidates
from surrogate.optimizers.baselines import feasible_placement, first_fit, random_placement
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

SMALLEST_TEMPERATURE = 1e-9
"""Stands in while every neighbour is as good as its original."""


class Annealing(Search):
    """Batched simulated annealing.

    Args:
        cycles: How often the temperature falls, >= 1.
        cooling: Last temperature of a cycle over its first, in (0, 1).

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(self, *, cycles: int = 2, cooling: float = 1e-3) -> None:
        require(cycles >= 1, "cycles", "be >= 1", cycles)
        require(0 < cooling < 1, "cooling", "lie in (0, 1)", cooling)
        self.cycles = cycles
        self.cooling = cooling

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._current = np.empty((0, space.slots), dtype=np.int32)
        self._values: Floats = np.empty(0)
        self._best = space.start
        self._best_value = np.inf
        self._worsening: float | None = None
        self._rounds = 0
        self._cycle = 0
        self.progress = 0.0

    def ask(self, count: int) -> Candidates:
        if len(self._current) == 0:
            self._current = self._first_rows(count)
            self._values = np.full(count, np.inf)
            return self._space.candidates(self._current)
        self._resize(count)
        return self._space.candidates(propose(self._space, self._current, self._rng))

    def tell(self, candidates: Candidates, values: Floats) -> None:
        rise = np.where(np.isfinite(self._values), values - self._values, -np.inf)
        if self._worsening is None:
            worse = rise[np.isfinite(rise) & (rise > 0) & (rise < 1.0)]
            if len(worse):
                self._worsening = float(worse.mean())
        with np.errstate(over="ignore", invalid="ignore"):
            chance = np.exp(-np.maximum(rise, 0.0) / self._temperature())
        taken = (rise <= 0) | (self._rng.random(len(values)) < chance)
        self._current = np.where(taken[:, None], candidates.placement, self._current)
        self._values = np.where(taken, values, self._values)
        best = int(np.argmin(values))
        if values[best] < self._best_value:
            self._best, self._best_value = candidates.placement[best].copy(), float(values[best])
        self._rounds += 1
        if self._rounds % EXCHANGE_EVERY == 0:
            self._exchange()
        self._restart_if_due()

    def _first_rows(self, count: int) -> Placements:
        space, rng = self._space, self._rng
        rows = [space.start]
        if count > 1:
            rows.append(feasible_placement(space, rng))
        if count > 2:
            rows.append(first_fit(space))
        rows += [random_placement(space, rng) for _ in range(count - len(rows))]
        return np.stack(rows)

    def _resize(self, count: int) -> None:
        have = len(self._current)
        if count < have:
            kept = np.sort(np.argsort(self._values, kind="stable")[:count])
            self._current, self._values = self._current[kept], self._values[kept]
        elif count > have:
            fresh = [random_placement(self._space, self._rng) for _ in range(count - have)]
            self._current = np.concatenate([self._current, np.stack(fresh)])
            self._values = np.concatenate([self._values, np.full(count - have, np.inf)])

    def _temperature(self) -> float:
        within = self.progress * self.cycles % 1.0
        if self.progress >= 1.0:
            within = 1.0
        first = WARMTH * (self._worsening or 0.0)
        return max(first * self.cooling**within, SMALLEST_TEMPERATURE)

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
            "best_value": self._best_value,
            "worsening": self._worsening,
            "rounds": self._rounds,
            "cycle": self._cycle,
            "progress": self.progress,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
        self._current = np.array(state["current"], dtype=np.int32)
        self._values = np.array(state["values"], dtype=np.float64)
        self._best = np.array(state["best"], dtype=np.int32)
        self._best_value = state["best_value"]
        self._worsening = state["worsening"]
        self._rounds, self._cycle = state["rounds"], state["cycle"]
        self.progress = state["progress"]
