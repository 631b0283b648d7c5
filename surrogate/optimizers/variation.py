"""Search of rows of decisions: a few designs first, then variations of the best rows seen so far.

Simulation answers every question about a row the same way, as all rows meet the same random
numbers, so none is asked about twice, and what was best stays best: an evolution strategy that
keeps its elite. A variation changes one decision, or a few; ordered ones mostly by a step. Now and
then the decisions of one kind are taken over from another good row.

References:
    Beyer and Schwefel, Evolution strategies: a comprehensive introduction, Natural Computing 1,
    2002 (elitist selection).
    Kirkpatrick, Gelatt and Vecchi, Optimization by simulated annealing, Science 220, 1983 (moves of
    placements).
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation import Candidates
from surrogate.optimizers.archive import Archive
from surrogate.optimizers.baselines import first_fit, least_loaded, random_placements
from surrogate.optimizers.decision_space import DECISIONS, DecisionSpace
from surrogate.optimizers.moves import propose
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["VariationSearch", "designs", "typical_row"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ELITE = 24
"""Best rows that variations are made of."""

FIRST_SPREAD, LAST_SPREAD = 8.0, 2.0
"""Ranks over which the chance of being varied falls to a third, at the beginning and the end."""

ATTEMPTS = 12
"""Variations of a row before one that was seen already is put up with."""

STALE = 400
"""Rows in succession of which none was new, after which there is nothing left to ask for."""

STEP = 0.7
"""Chance that an ordered decision changes by a step or two rather than to any value."""

CROSSED = 0.15
"""Chance that a variation takes the decisions of one kind from another row of the elite."""

SEVERAL = 0.35
"""Chance of one more change in the same variation, again and again."""

OPENNESS = (0.25, 0.5, 0.75)
"""Places along the values of thresholds that the first designs try."""

SCATTERED = 8
"""Random placements among the first designs."""


def typical_row(space: DecisionSpace) -> Placements:
    """Return the start on the least-loaded placement, where placements are searched.

    Args:
        space: The space.

    Returns:
        A row [K].
    """
    row = space.start.copy()
    if space.placed is not None:
        row[space.placed] = least_loaded(space.placing)
    return row


def designs(space: DecisionSpace, rng: np.random.Generator) -> Placements:
    """Return rows to begin with: the start, and good guesses at each kind of decision.

    Args:
        space: The space.
        rng: Random numbers.

    Returns:
        Rows [B, K], the start first; the others in random order.
    """
    start, typical = space.start, typical_row(space)
    rows = [typical]
    for row in _batching_designs(space, typical):
        rows.append(row)
        if len(space.of_kind("thresholds")):
            rows.append(_opened(space, row, float(rng.choice(OPENNESS))))
    if space.placed is not None:
        others = random_placements(space.placing, SCATTERED, rng)
        for placement in (first_fit(space.placing, largest_first=True), *others):
            row = rows[int(rng.integers(len(rows)))].copy()
            row[space.placed] = placement
            rows.append(row)
    shuffled = space.canonical(np.stack(rows))[rng.permutation(len(rows))]
    return np.concatenate([start[None], shuffled])


def _batching_designs(space: DecisionSpace, row: Placements) -> list[Placements]:
    """Return a row with every policy on all accelerators, at medium and full size."""
    if not space.grids:
        return [row]
    found = []
    policies = max(grid.counts[0] for grid in space.grids)
    for policy, share, wait in product(range(policies), (0.4, 1.0), (0.0, 0.4)):
        varied = row.copy()
        for index in range(len(space.grids)):
            own = space.accelerator(index)
            counts = space.counts[own] - 1
            point = [min(policy, counts[0]), round(share * counts[1]), round(wait * counts[2])]
            varied[own] = [*point, counts[3]]
        found.append(varied)
    return found


def _opened(space: DecisionSpace, row: Placements, place: float) -> Placements:
    """Return a row with all thresholds at a place along their values."""
    row, columns = row.copy(), space.of_kind("thresholds")
    row[columns] = np.rint(place * (space.counts[columns] - 1)).astype(np.int32)
    return row


class VariationSearch(Search):
    """An elitist evolution strategy on rows of decisions.

    Args:
        elite: Best rows that variations are made of, >= 2.

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(self, *, elite: int = ELITE) -> None:
        require(elite >= 2, "elite", "be >= 2", elite)
        self.elite = elite

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        able = isinstance(space, DecisionSpace)
        require(able, "space", "be one of decisions for VariationSearch", type(space).__name__)
        assert isinstance(space, DecisionSpace)
        self._space, self._rng = space, rng
        self._kinds = [kind for kind in DECISIONS if len(space.of_kind(kind))]
        self._waiting = designs(space, rng)
        self._archive = Archive(self.elite, space.slots)
        self._seen: set[bytes] = set()
        self._asked: list[Placements] = []
        self._stale = 0
        self.progress = 0.0

    @property
    def finished(self) -> bool:
        return self._stale >= STALE

    def ask(self, count: int) -> Candidates:
        rows: list[Placements] = []
        while len(rows) < count:
            row = self._next()
            known = row.tobytes() in self._seen
            self._stale = self._stale + 1 if known else 0
            self._seen.add(row.tobytes())
            rows.append(row)
        self._asked.append(np.stack(rows))
        return self._space.candidates(self._asked[-1])

    def _next(self) -> Placements:
        """Return the next design, or a variation that was not seen."""
        row: Placements
        while len(self._waiting):
            row, self._waiting = self._waiting[0], self._waiting[1:]
            if row.tobytes() not in self._seen:
                return row
        for _ in range(ATTEMPTS):
            row = self._space.canonical(self._varied()[None])[0]
            if row.tobytes() not in self._seen:
                break
        return row

    def _parent(self) -> Placements:
        spread = FIRST_SPREAD + self.progress * (LAST_SPREAD - FIRST_SPREAD)
        rank = int(self._rng.exponential(spread))
        best: Placements = self._archive.placements
        return np.asarray(best[min(rank, len(best) - 1)])

    def _varied(self) -> Placements:
        """Return a variation of a row of the elite."""
        if not len(self._archive.placements):
            return self._space.start
        row = self._parent().copy()
        if len(self._kinds) > 1 and self._rng.random() < CROSSED:
            columns = self._space.of_kind(str(self._rng.choice(self._kinds)))
            row[columns] = self._parent()[columns]
        while True:
            self._change(row, str(self._rng.choice(self._kinds)))
            if self._rng.random() >= SEVERAL:
                return row

    def _change(self, row: Placements, kind: str) -> None:
        """Change a decision of a kind, in place."""
        placed = self._space.placed
        if kind == "placement" and placed is not None:
            row[placed] = propose(self._space.placing, row[placed][None], self._rng)[0]
            return
        column = int(self._rng.choice(self._space.of_kind(kind)))
        count, value = int(self._space.counts[column]), int(row[column])
        if self._space.columns[column].ordered and self._rng.random() < STEP:
            moved = value + int(self._rng.choice([-2, -1, -1, 1, 1, 2]))
            row[column] = min(max(moved, 0), count - 1)
        else:
            row[column] = (value + int(self._rng.integers(1, count))) % count

    def tell(self, candidates: Candidates, values: Floats) -> None:
        rows = self._space.rows(candidates)
        self._archive.add(rows, values, evaluations=0, seconds=0.0)

    def state(self) -> dict[str, Any]:
        return {
            "rng": self._rng.bit_generator.state,
            "waiting": self._waiting,
            "rows": self._archive.placements,
            "values": self._archive.values,
            "asked": list(self._asked),
            "stale": self._stale,
            "progress": self.progress,
        }

    def restore(self, state: dict[str, Any]) -> None:
        shape = (-1, self._space.slots)
        self._rng.bit_generator.state = state["rng"]
        self._waiting = np.array(state["waiting"], dtype=np.int32).reshape(shape)
        self._archive.placements = np.array(state["rows"], dtype=np.int32).reshape(shape)
        self._archive.values = np.array(state["values"], dtype=np.float64)
        self._asked = [np.array(rows, dtype=np.int32).reshape(shape) for rows in state["asked"]]
        self._seen = {row.tobytes() for rows in self._asked for row in rows}
        self._stale, self.progress = state["stale"], state["progress"]
