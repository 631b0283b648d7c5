"""Bayesian search: a Gaussian process over placements, for few fragments and dear evaluations.

Two placements are alike if few fragments run elsewhere, or if they load the devices alike; the
kernel is the mean of both, and their scales are those of the largest marginal likelihood. Values
are replaced by normal scores of their ranks, which tames losses that span decades and penalties
alike. Of a batch, the first candidate has the largest expected improvement in a pool, the others
are drawn by Thompson sampling: each is the best of the pool under one function drawn from the
posterior. The pool is of random placements and of neighbours of the best ones.

A pool of a hundred cannot hold the good moves of many fragments, and distances between placements
say little there, so that problems of many are refused. The process is written here rather than
taken from a library: what matters is the kernel and that all candidates fit the memory, which no
library knows, and the rest is two Cholesky factors.

References:
    Rasmussen and Williams, Gaussian processes for machine learning, MIT Press, 2006, chapters 2
    and 5.
    Salinas, Shen and Perrone, A quantile-based approach for hyperparameter transfer learning, ICML
    2020 (normal scores).
    Kandasamy, Krishnamurthy, Schneider and Poczos, Parallelised Bayesian optimisation via Thompson
    sampling, AISTATS 2018.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation import Candidates
from surrogate.optimizers.baselines import first_rows, random_placements
from surrogate.optimizers.gaussian_process import (
    expected_improvement,
    log_likelihood,
    normal_scores,
    posterior,
)
from surrogate.optimizers.moves import propose
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["BayesianSearch"]

Floats = NDArray[np.float64]

MOST_VARIABLES = 20
"""Fragments with a choice that a problem may have."""

DESIGN = 8
"""Placements that are looked at before a model is fitted."""

POINTS = 64
"""Placements that the process is fitted to: the better half of them the best ones seen, the other
half the latest. Its cost grows with their third power."""

POOL = 64
"""Random placements in the pool, and as many neighbours of good ones."""

PARENTS = 4
"""Best placements whose neighbours enter the pool."""

MOVED_SCALES = (0.1, 0.3, 1.0)
LOAD_SCALES = (0.3, 1.0, 3.0)
"""Shares of fragments moved, and differences of loads in units of their mean distance, over which
values change: what the fit chooses from."""


class BayesianSearch(Search):
    """Thompson sampling from a Gaussian process.

    Args:
        most_variables: Fragments with a choice that a problem may have, >= 1.

    Raises:
        InvalidInputError: If the argument is out of range; from :meth:`begin`, if a problem has
            more.
    """

    def __init__(self, *, most_variables: int = MOST_VARIABLES) -> None:
        require(most_variables >= 1, "most_variables", "be >= 1", most_variables)
        self.most_variables = most_variables

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        variables = int((space.choices_count > 1).sum())
        rule = f"have at most {self.most_variables} fragments with a choice for Bayesian search"
        require(variables <= self.most_variables, "problem", rule, variables)
        self._space, self._rng = space, rng
        self._work = np.nan_to_num(space.work())
        self._rows = np.empty((0, space.slots), dtype=np.int32)
        self._values: Floats = np.empty(0)

    def ask(self, count: int) -> Candidates:
        if len(self._rows) == 0:
            return self._space.candidates(first_rows(self._space, count, self._rng))
        if len(self._rows) < DESIGN:
            return self._space.candidates(random_placements(self._space, count, self._rng))
        return self._space.candidates(self._sampled(count))

    def tell(self, candidates: Candidates, values: Floats) -> None:
        """Keep the best and the latest of what was told, each placement once."""
        rows = np.concatenate([self._rows, candidates.placement])
        told = np.concatenate([self._values, values])
        _, first = np.unique(rows, axis=0, return_index=True)
        first.sort()
        rows, told = rows[first], told[first]
        if len(rows) > POINTS:
            order = np.argsort(told, kind="stable")
            best, rest = order[: POINTS // 2], np.sort(order[POINTS // 2 :])
            kept = np.sort(np.concatenate([best, rest[-POINTS // 2 :]]))
            rows, told = rows[kept], told[kept]
        self._rows, self._values = rows, told

    def _sampled(self, count: int) -> Placements:
        pool = self._pool()
        seen = {row.tobytes() for row in self._rows}
        fresh = np.array([row.tobytes() not in seen for row in pool])
        if not fresh.any():  # a small space, looked at nearly everywhere
            return random_placements(self._space, count, self._rng)
        pool = pool[fresh]
        mean, root = self._posterior(pool)
        lowest = float(normal_scores(self._values).min())
        drawn = mean[:, None] + root @ self._rng.standard_normal((len(pool), count))
        chosen = np.argmin(drawn, axis=0)
        chosen[0] = np.argmax(expected_improvement(mean, root, lowest))
        return np.asarray(pool[chosen])

    def _pool(self) -> Placements:
        best = self._rows[np.argsort(self._values, kind="stable")[:PARENTS]]
        parents = best[np.arange(POOL) % len(best)]
        moved = propose(self._space, parents, self._rng)
        both = np.concatenate([moved, random_placements(self._space, POOL, self._rng)])
        _, first = np.unique(both, axis=0, return_index=True)
        return np.asarray(both[np.sort(first)])

    def _posterior(self, pool: Placements) -> tuple[Floats, Floats]:
        """Return mean [N] and a root of the covariance [N, N] of the values of placements."""
        scores = normal_scores(self._values)
        moved, apart = self._distances(np.concatenate([self._rows, pool]))
        seen = slice(len(scores))
        scales = max(
            product(MOVED_SCALES, LOAD_SCALES),
            key=lambda pair: log_likelihood(
                _kernel(moved[seen, seen], apart[seen, seen], *pair), scores
            ),
        )
        kernel = _kernel(moved, apart, *scales)
        return posterior(kernel, scores)

    def _distances(self, rows: Placements) -> tuple[Floats, Floats]:
        """Return shares of fragments moved, and squared distances of loads over their mean."""
        moved = (rows[:, None] != rows[None]).mean(axis=2)
        load = np.zeros((len(rows), self._space.devices))
        slots = np.arange(self._space.slots)
        np.add.at(load, (np.arange(len(rows))[:, None], rows), self._work[slots, rows])
        # Beyond a load of 1 a device is only more hopeless: squeezed, so that near ones are told.
        squeezed = load / (1.0 + load)
        squares = (squeezed**2).sum(axis=1)
        apart = np.maximum(squares[:, None] + squares - 2.0 * squeezed @ squeezed.T, 0.0)
        return moved, apart / max(float(apart.mean()), np.finfo(np.float64).tiny)

    def state(self) -> dict[str, Any]:
        return {
            "rng": self._rng.bit_generator.state,
            "rows": self._rows,
            "values": self._values,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
        self._rows = np.array(state["rows"], dtype=np.int32).reshape(-1, self._space.slots)
        self._values = np.array(state["values"], dtype=np.float64)


def _kernel(moved: Floats, apart: Floats, moved_scale: float, load_scale: float) -> Floats:
    return 0.5 * np.exp(-moved / moved_scale) + 0.5 * np.exp(-apart / load_scale**2)
