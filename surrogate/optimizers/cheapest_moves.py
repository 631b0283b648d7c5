"""The cheapest moves that bring the loss below a target.

Cheaper is what sends fewer bytes; of equal ones, what refuses fewer requests meanwhile; then what
loses less. A beam search finds some way first, by moving single fragments, and exchanging two where
memory does not let one of them move alone; it goes on from the best placements by loss and by loss
saved per byte. Where there is much to look at, the analytic approximation says what is worth
judging. Then every set of fragments that weighs no more is tried with all its destinations,
lightest first: if the budget lasts, what comes of it is proved to be the cheapest there is, as the
evaluator has it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from surrogate.optimizers.judge import BATCH, BudgetSpentError, Judge
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["CheapestMoves", "cheapest_moves"]

Floats = NDArray[np.float64]

BEAM = 2
"""Placements that a beam search goes on from, by loss and as many by loss saved per byte: more cost
more evaluations than they find bytes."""

SHOWN = 16
"""Neighbours that the judge is shown of those that the approximation has looked at, by either."""

WORTH = 64
"""Changes that a beam search tries again from every placement, by either, once it has tried all of
them from one: what helps most in one place mostly helps in others."""

MOST_ENUMERATED = 1_000_000
"""Placements that are looked at before a proof is given up, whether they fit or not: seconds."""

ROUNDING = 1e-9
"""Relative slack between sums of bytes that were added up in different order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheapestMoves:
    """What was found.

    Args:
        placement: The cheapest placement that keeps the target; where none was found, that of least
            loss [F].
        found: Whether it keeps the target, as the evaluator has it.
        proved: Whether everything cheaper was tried.
    """

    placement: Placements
    found: bool
    proved: bool


def cheapest_moves(judge: Judge, target: float) -> CheapestMoves:
    """Find the cheapest moves that keep a target.

    Args:
        judge: Knows the losses and the costs.
        target: Largest loss ratio, as the judge's evaluator has it.

    Returns:
        The placement, and what is known of it.
    """
    hunt = _Hunt(judge, target)
    try:
        hunt.take(judge.migration.start[None])
        if hunt.best is None:
            hunt.beam()
            hunt.prune()
            hunt.enumerate()
        proved = True
    except BudgetSpentError:
        proved = False
    placement = judge.best() if hunt.best is None else hunt.best
    return CheapestMoves(placement=placement, found=hunt.best is not None, proved=proved)


class _Hunt:
    """The cheapest placement so far, and the ways to find cheaper ones.

    Args:
        judge: Knows the losses and the costs.
        target: Largest loss ratio.
    """

    def __init__(self, judge: Judge, target: float) -> None:
        self._judge, self._target = judge, target
        self._migration = judge.migration
        self._space = judge.migration.space
        self.best: Placements | None = None
        self._cost = (np.inf, np.inf, np.inf)

    def take(self, rows: Placements) -> Floats:
        """Judge placements, keep the cheapest that holds the target, and return their losses."""
        loss = self._judge.loss(rows)
        good = np.flatnonzero(loss <= self._target)
        costs = zip(*self._costs(rows[good]), loss[good].tolist(), strict=True)
        for index, cost in zip(good.tolist(), costs, strict=True):
            if cost < self._cost:
                self.best, self._cost = rows[index].copy(), cost
        return loss

    def _costs(self, rows: Placements) -> tuple[list[float], list[float]]:
        return self._migration.bytes(rows).tolist(), self._migration.refused(rows).tolist()

    def beam(self) -> None:
        """Go from good placements to better neighbours until one holds the target or none is."""
        rows, least = self._migration.start[None], np.inf
        while self.best is None:
            before, changes = least, self._worth_trying(rows[0])
            while self.best is None:
                near = np.unique(np.concatenate([_changed(row, changes) for row in rows]), axis=0)
                near = self._worth_showing(near[self._space.excess(near) <= 0])
                loss = self.take(near) if len(near) else np.array([np.inf])
                if loss.min() >= least:
                    break
                least = float(loss.min())
                chosen = self._promising(near, loss, BEAM)
                rows = near[chosen[np.argsort(loss[chosen], kind="stable")]]
            if least >= before:
                return

    def _promising(self, rows: Placements, loss: Floats, count: int) -> NDArray[np.int64]:
        """Return which rows lose least, and which save most per byte: so many of either."""
        start = self._judge.loss(self._migration.start[None])
        thrift = (start - loss) / np.maximum(self._migration.bytes(rows), 1.0)
        return np.union1d(np.argsort(loss)[:count], np.argsort(-thrift)[:count])

    def _roughly(self, rows: Placements) -> Floats:
        """Return losses by the approximation, or by the judge where there is none."""
        if self._judge.screen is None:
            return self.take(rows)
        parts = []
        for first in range(0, len(rows), BATCH):
            self._judge.check()
            parts.append(self._judge.screened(rows[first : first + BATCH]))
        return np.concatenate(parts)

    def _worth_trying(self, row: Placements) -> NDArray[np.int64]:
        """Return the changes that help most at a placement; all where they are few."""
        changes = _changes(self._space, row)
        if len(changes) <= 2 * WORTH:
            return changes
        rows = _changed(row, changes)
        fits = self._space.excess(rows) <= 0
        rows, changes = rows[fits], changes[fits]
        return changes[self._promising(rows, self._roughly(rows), WORTH)] if len(rows) else changes

    def _worth_showing(self, rows: Placements) -> Placements:
        """Return the rows that the approximation finds promising; all where they are few."""
        if self._judge.screen is None or len(rows) <= 2 * SHOWN:
            return rows
        return rows[self._promising(rows, self._roughly(rows), SHOWN)]

    def prune(self) -> None:
        """Take moves back one by one as long as the target holds."""
        before = None
        while self.best is not None and self.best is not before:
            before = self.best
            moved = np.flatnonzero(before != self._migration.start)
            rows = np.tile(before, (len(moved), 1))
            rows[np.arange(len(moved)), moved] = self._migration.start[moved]
            rows = rows[self._space.excess(rows) <= 0]
            if len(rows):
                self.take(rows)

    def enumerate(self) -> None:
        """Try everything that costs no more than the cheapest so far, lightest first.

        Raises:
            BudgetSpentError: If there is too much of it.
        """
        lighter = self._lighter()
        for _ in range(MOST_ENUMERATED // BATCH):
            waiting = list(islice(lighter, BATCH))
            if not waiting:
                return
            self._judge.check()
            self._try(np.stack(waiting))
        raise BudgetSpentError

    def _lighter(self) -> Iterator[Placements]:
        """Yield placements by rising weight of what moves, up to that of the cheapest so far."""
        for weight, moved in _sets_by_weight(self._space.weights):
            if weight > self._cost[0] * (1 + ROUNDING):
                return
            yield from self._destinations(moved)

    def _destinations(self, moved: tuple[int, ...]) -> Iterator[Placements]:
        """Yield all placements that move these fragments and no others."""
        start = self._migration.start
        others = [[d for d in self._allowed(slot) if d != start[slot]] for slot in moved]
        for targets in product(*others):
            row = start.copy()
            row[list(moved)] = targets
            yield row

    def _allowed(self, slot: int) -> list[int]:
        return np.flatnonzero(self._space.allowed[slot]).tolist()

    def _try(self, rows: Placements) -> None:
        """Judge what fits and is not dearer than the best."""
        rows = rows[self._space.excess(rows) <= 0]
        dear = np.array([cost > self._cost[:2] for cost in zip(*self._costs(rows), strict=True)])
        rows = rows[~dear.astype(bool)]
        if len(rows):
            self.take(rows)


def _changes(space: PlacementSpace, row: Placements) -> NDArray[np.int64]:
    """Return all single moves, and the exchanges that memory asks for.

    Args:
        space: The placements of the problem.
        row: Device index per slot [F].

    Returns:
        Slot and device, and another slot and its device, the same again for a single move [K, 4].
    """
    slot, device = np.nonzero(space.allowed)
    away = device != row[slot]
    slot, device = slot[away], device[away]
    single = np.stack([slot, device, slot, device], axis=1)
    fits = np.ones(space.allowed.shape, dtype=bool)
    fits[slot, device] = space.excess(_changed(row, single)) <= 0
    one, other = np.triu_indices(space.slots, k=1)
    may = space.allowed[one, row[other]] & space.allowed[other, row[one]] & (row[one] != row[other])
    may &= ~(fits[one, row[other]] & fits[other, row[one]])
    one, other = one[may], other[may]
    return np.concatenate([single, np.stack([one, row[other], other, row[one]], axis=1)])


def _changed(row: Placements, changes: NDArray[np.int64]) -> Placements:
    """Return what each of some changes makes of a placement [K, F]."""
    rows = np.tile(row, (len(changes), 1))
    number = np.arange(len(changes))
    for slot, device in (changes[:, :2].T, changes[:, 2:].T):
        rows[number, slot] = device
    return rows


def _sets_by_weight(weights: Floats) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Yield all nonempty sets of fragments, lightest first.

    Each set is reached in one way: from a set whose heaviest member is that of rank n, by adding
    rank n + 1, or by putting it in the place of rank n. Neither is lighter than what it comes from.
    """
    order = np.argsort(weights, kind="stable")
    ordered = weights[order].tolist()
    heap: list[tuple[float, tuple[int, ...]]] = [(ordered[0], (0,))]
    while heap:
        weight, ranks = heapq.heappop(heap)
        yield weight, tuple(int(order[rank]) for rank in ranks)
        following = ranks[-1] + 1
        if following < len(ordered):
            added = weight + ordered[following]
            heapq.heappush(heap, (added, (*ranks, following)))
            heapq.heappush(heap, (added - ordered[ranks[-1]], (*ranks[:-1], following)))
