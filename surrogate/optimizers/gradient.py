"""Gradient search: annealing whose moves follow the gradient of a network.

Half of the neighbours are drawn from all moves of single fragments, ranked by what one gradient
through the network says that they change (:mod:`surrogate.optimizers.sensitivity`); the rank is
log-uniform, so that the first few are tried often and none is ruled out. The other half are random:
swaps and runs, and what the first order cannot see. Every candidate is judged as a whole, by
whatever evaluator drives the search, and the best one seen is kept.

References:
    Zanella, Informed proposals for local MCMC in discrete spaces, Journal of the American
    Statistical Association 115, 2020.
    Grathwohl, Swersky, Hashemi, Duvenaud and Maddison, Oops I took a gradient: scalable sampling
    for discrete distributions, ICML 2021 (moves ranked by one gradient).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation import Evaluator
from surrogate.evaluator import SurrogateEvaluator
from surrogate.optimizers.annealing import Annealing
from surrogate.optimizers.moves import propose
from surrogate.optimizers.objective import Objective, SystemLoss
from surrogate.optimizers.sensitivity import move_effects, require_differentiable
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["GradientSearch"]

INFORMED = 0.5
"""Share of the neighbours that follow the gradient."""


class GradientSearch(Annealing):
    """Annealing with moves that a network's gradient recommends.

    Args:
        guide: Surrogate whose gradient is followed; it need not be the evaluator of the search.
        objective: What its gradient is taken of; that of the search, as a rule.
        refresh: Neighbours drawn before the gradient is taken anew, >= 1: it costs as much as a
            dozen evaluations.

    Raises:
        InvalidInputError: If the guide is no network or ``refresh`` is out of range.
        NotSupportedError: If networks say nothing about the objective.
    """

    def __init__(
        self, guide: Evaluator, objective: Objective | None = None, *, refresh: int = 32
    ) -> None:
        super().__init__()
        network = isinstance(guide, SurrogateEvaluator)
        require(refresh >= 1, "refresh", "be >= 1", refresh)
        require(network, "guide", "be a surrogate, whose network has a gradient", guide)
        self._guide: SurrogateEvaluator = guide  # type: ignore[assignment]
        self.refresh = refresh
        self._objective = objective or SystemLoss()
        require_differentiable(self._objective)

    @classmethod
    def driven_by(cls, evaluator: Evaluator, objective: Objective) -> GradientSearch:
        return cls(evaluator, objective)

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        super().begin(space, rng)
        self._look_from(space.start[None])  # also warms the network up, before any clock starts
        self._since = self.refresh

    def _look_from(self, origins: Placements) -> None:
        """Rank the moves of some placements."""
        self._origins, self._since = origins, 0
        network = self._guide.release.network
        effects = move_effects(network, self._objective, self._space, origins)
        self._ranked = np.argsort(effects.reshape(len(origins), -1), axis=1, kind="stable")

    def _neighbours(self, rows: NDArray[np.int64]) -> Placements:
        if self._since >= self.refresh:
            self._look_from(self._current.copy())
        self._since += len(rows)
        neighbours = propose(self._space, self._current[rows], self._rng)
        informed = self._rng.random(len(rows)) < INFORMED
        # Rows that moved on since the gradient was taken go without one.
        known = np.zeros(len(self._current), dtype=bool)
        both = min(len(self._current), len(self._origins))
        known[:both] = (self._current[:both] == self._origins[:both]).all(axis=1)
        chosen = np.flatnonzero(informed & known[rows])
        neighbours[chosen] = self._recommended(rows[chosen], neighbours[chosen])
        return neighbours

    def _recommended(self, rows: NDArray[np.int64], otherwise: Placements) -> Placements:
        """Return moves that the gradient recommends, or others where these do not fit [B, F]."""
        slots, devices = self._space.allowed.shape
        moves = int(self._space.allowed.sum()) - slots
        if moves == 0:
            return otherwise
        rank = np.exp(self._rng.random(len(rows)) * np.log1p(moves)).astype(np.int64) - 1
        move = self._ranked[rows, np.minimum(rank, moves - 1)]
        origin = self._origins[rows]
        moved = origin.copy()
        moved[np.arange(len(rows)), move // devices] = move % devices
        fits = self._space.excess(moved) <= self._space.excess(origin)
        return np.where(fits[:, None], moved, otherwise)

    def state(self) -> dict[str, Any]:
        return super().state() | {"origins": self._origins.copy(), "since": self._since}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        origins = np.array(state["origins"], dtype=np.int32).reshape(-1, self._space.slots)
        self._look_from(origins)
        self._since = state["since"]
