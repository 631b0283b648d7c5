"""Random search: independent placements that fit, the least a search must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import Candidates
from surrogate.optimizers.baselines import random_placements
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import PlacementSpace

__all__ = ["RandomSearch"]


class RandomSearch(Search):
    """Proposes the start, then independent random placements."""

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._begun = False

    def ask(self, count: int) -> Candidates:
        rows = random_placements(self._space, count, self._rng)
        if not self._begun:
            rows[0] = self._space.start
            self._begun = True
        return self._space.candidates(rows)

    def tell(self, candidates: Candidates, values: NDArray[np.float64]) -> None:
        """Learn nothing."""

    def state(self) -> dict[str, Any]:
        return {"rng": self._rng.bit_generator.state, "begun": self._begun}

    def restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
        self._begun = state["begun"]
