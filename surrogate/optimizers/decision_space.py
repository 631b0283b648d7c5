"""The space of several decisions at once: placement, batching, thresholds and routing, as rows.

A row has a whole number per decision, the index of one of its values: a device of each slot;
policy, size, time-out and variant of each accelerator; a threshold of each classifier; a weight of
each path of chains that have several. Only what is searched has columns. Where the start lies
between two values of a grid, it is a value of its own, so that the start is a row.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.errors import require
from datagen.evaluation import Candidates
from datagen.npu import BatchSetting
from surrogate.optimizers.setting_grid import AcceleratorGrid, accelerator_grids
from surrogate.optimizers.space import Placements, PlacementSpace
from surrogate.optimizers.threshold_space import ThresholdSpace

__all__ = ["DECISIONS", "Column", "DecisionSpace"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DECISIONS = ("placement", "batching", "variant", "thresholds", "routing")
"""What can be searched; the variant of an array is one by itself, as hardware may be given."""

LEVELS = np.linspace(0.0, 1.0, 21)
"""Levels of thresholds: shares of the samples that stay; a twentieth moves an accuracy by less than
most tell apart, and time by as much as a step of any other decision."""

WEIGHTS = np.linspace(0.0, 1.0, 11)
"""Weights of paths."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One decision.

    Args:
        kind: One of :data:`DECISIONS`.
        count: Number of its values.
        ordered: Whether neighbouring values are alike.
    """

    kind: str
    count: int
    ordered: bool


@dataclass(frozen=True, kw_only=True)
class Decided(Candidates):
    """Candidates that remember the rows they were made of.

    Args:
        rows: Rows of a decision space [B, K].
    """

    rows: Placements


class DecisionSpace(PlacementSpace):
    """All values of some decisions about a deployment; the others stay as they are.

    Args:
        base: The deployment that is varied.
        decide: What is searched, some of :data:`DECISIONS`.

    Raises:
        InvalidInputError: If nothing of it can be decided.
    """

    def __init__(self, base: Deployment, decide: Collection[str] = DECISIONS) -> None:
        unknown = set(decide) - set(DECISIONS)
        require(not unknown, "decide", f"name some of {', '.join(DECISIONS)}", sorted(unknown))
        super().__init__(base)
        self.placing = PlacementSpace(base)
        self.columns: list[Column] = []
        start: list[int] = []
        self._placed = self._add_placement(start) if "placement" in decide else None
        self.grids: list[AcceleratorGrid] = []
        self._batched = slice(0, 0)
        if {"batching", "variant"} & set(decide) and self.tables.batching.has_accelerators:
            self._batched = self._add_batching(start, decide)
        self._tau: list[Floats] = []
        self._leaving = slice(0, 0)
        if "thresholds" in decide and self.tables.leaving.threshold_columns:
            self._leaving = self._add_thresholds(start)
        self._shares: list[Floats] = []
        self._routed = slice(0, 0)
        if "routing" in decide and self.tables.path_counts.max() > 1:
            self._routed = self._add_routing(start)
        require(bool(self.columns), "decide", "leave something to search", sorted(decide))
        self.counts: Ints = np.array([column.count for column in self.columns])
        self.slots = len(self.columns)
        self._start = np.array(start, dtype=np.int32)

    def _add(self, start: list[int], columns: list[Column], values: list[int]) -> slice:
        first = len(self.columns)
        self.columns += columns
        start += values
        return slice(first, len(self.columns))

    def _add_placement(self, start: list[int]) -> slice:
        column = Column(kind="placement", count=self.devices, ordered=False)
        return self._add(start, [column] * self.placing.slots, self.placing.start.tolist())

    def _add_batching(self, start: list[int], decide: Collection[str]) -> slice:
        self.grids = accelerator_grids(self.base, variants="variant" in decide)
        settings: dict[BatchSetting, int] = {}
        self._numbers = [grid.table(settings) for grid in self.grids]
        self.settings = tuple(settings)
        # Of all points of one setting, the first stands for the others.
        self._points = []
        for numbers in self._numbers:
            known, first = np.unique(numbers, return_index=True)
            points = np.zeros((len(self.settings), 4), dtype=np.int32)
            points[known] = np.stack(np.unravel_index(first, numbers.shape), axis=1)
            self._points.append(points)
        columns, values = [], []
        for grid in self.grids:
            for part, (kind, ordered) in enumerate((
                ("batching", False),
                ("batching", True),
                ("batching", True),
                ("variant", False),
            )):
                count = grid.counts[part] if kind in decide else 1
                columns.append(Column(kind=kind, count=count, ordered=ordered))
            values += list(grid.start)
        self._kept = np.array(values, dtype=np.int32)
        fixed = np.array([column.kind not in decide for column in columns])
        self._fixed = fixed
        return self._add(start, columns, np.where(fixed, 0, self._kept).tolist())

    def _add_thresholds(self, start: list[int]) -> slice:
        space = ThresholdSpace(self.base)
        own = np.asarray(space.start().thresholds, dtype=np.float64)[0]
        places: list[int] = []
        for name, column in space.columns.items():
            width = column.stop - column.start
            tau = space.exits[name].thresholds(np.repeat(LEVELS[:, None], width, axis=1))
            for number in range(width):
                mine = float(own[column.start + number])
                values = np.unique(np.append(tau[:, number].astype(np.float32), np.float32(mine)))
                self._tau.append(values.astype(np.float64))
                places.append(int(np.searchsorted(values, np.float32(mine))))
        columns = [Column(kind="thresholds", count=len(t), ordered=True) for t in self._tau]
        return self._add(start, columns, places)

    def _add_routing(self, start: list[int]) -> slice:
        several = np.repeat(self.tables.path_counts > 1, self.tables.path_counts)
        self._several = np.flatnonzero(several)
        places = []
        for share in self.tables.path_probability[self._several].tolist():
            values = np.unique(np.append(WEIGHTS, share))
            self._shares.append(values)
            places.append(int(np.searchsorted(values, share)))
        columns = [Column(kind="routing", count=len(w), ordered=True) for w in self._shares]
        return self._add(start, columns, places)

    @property
    def start(self) -> Placements:
        return np.asarray(self.canonical(self._start[None])[0])

    @property
    def size(self) -> float:
        return float(np.prod(self.counts.astype(float)))

    @property
    def placed(self) -> slice | None:
        """The columns of the placement; None where it is given."""
        return self._placed

    def of_kind(self, kind: str) -> Ints:
        """Return the columns of a kind that have a choice.

        Args:
            kind: One of :data:`DECISIONS`.

        Returns:
            0-based columns.
        """
        own = np.array([column.kind == kind for column in self.columns])
        return np.flatnonzero(own & (self.counts > 1))

    def accelerator(self, index: int) -> slice:
        """Return the columns of one accelerator, see :data:`~.setting_grid.PARTS`.

        Args:
            index: 0-based accelerator.

        Returns:
            Four columns.
        """
        first = self._batched.start + 4 * index
        return slice(first, first + 4)

    def _chosen(self, rows: Placements) -> Ints:
        """Return the setting of each accelerator [B, Q]."""
        points = np.where(self._fixed, self._kept, rows[:, self._batched])
        parts = points.reshape(len(rows), -1, 4)
        return np.stack(
            [numbers[tuple(parts[:, q].T)] for q, numbers in enumerate(self._numbers)], axis=1
        )

    def canonical(self, rows: Placements) -> Placements:
        """Return rows that mean the same, equal where they do.

        Args:
            rows: Rows [B, K].

        Returns:
            Rows [B, K].
        """
        if not self.grids:
            return rows
        rows = rows.copy()
        chosen = self._chosen(rows)
        parts = [self._points[q][chosen[:, q]] for q in range(len(self.grids))]
        points = np.concatenate(parts, axis=1)
        rows[:, self._batched] = np.where(self._fixed, 0, points)
        return rows

    def candidates(self, placement: NDArray[np.integer]) -> Candidates:
        rows = np.asarray(placement, dtype=np.int32)
        thresholds = routing = batching = None
        if self._tau:
            own = rows[:, self._leaving].T
            values = [tau[place] for tau, place in zip(self._tau, own, strict=True)]
            thresholds = np.stack(values, axis=1).astype(np.float32)
        if self._shares:
            routing = self._routing(rows)
        if self.grids:
            batching = self._chosen(rows).astype(np.int32)
        return Decided(
            base=self.base,
            placement=self.placements(rows),
            thresholds=thresholds,
            routing=routing,
            batching=batching,
            settings=self.settings if self.grids else (),
            tables=self.tables,
            rows=rows,
        )

    def _routing(self, rows: Placements) -> NDArray[np.float32]:
        """Return path probabilities [B, P]; chains whose weights are all 0 keep the base's."""
        own = rows[:, self._routed].T
        given = np.tile(self.tables.path_probability, (len(rows), 1))
        weights = given.copy()
        for path, shares, place in zip(self._several, self._shares, own, strict=True):
            weights[:, path] = shares[place]
        first = np.cumsum(self.tables.path_counts) - self.tables.path_counts
        total = np.repeat(np.add.reduceat(weights, first, axis=1), self.tables.path_counts, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, weights / total, given).astype(np.float32)

    def rows(self, candidates: Candidates) -> Placements:
        assert isinstance(candidates, Decided)
        return candidates.rows

    def placements(self, rows: Placements) -> Placements:
        if self._placed is None:
            return np.tile(self.tables.base_placement(), (len(rows), 1))
        return np.asarray(rows[:, self._placed], dtype=np.int32)

    def excess(self, placement: Placements) -> Floats:
        return self.tables.memory_excess(self.placements(placement))
