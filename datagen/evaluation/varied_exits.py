"""Where jobs may leave under many vectors of thresholds, without an object for any of them.

It answers what :class:`~datagen.evaluation.exit_tables.ExitTables` answers for one decision. A slot
of the b-th vector is the *place* b F + slot, so that one array says which classifiers are open.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datagen.distributions import LAW_NAMES, Law
from datagen.evaluation.exit_tables import ExitTables, Rows, needing
from datagen.evaluation.fields import ranges, starts_of

__all__ = ["VariedExits"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VariedExits:
    """Exits of one deployment's chains, chains decided by thresholds deciding by given ones.

    Args:
        given: The exits of the deployment.
        thresholds: Thresholds [B, T], in the order of ``given.threshold_columns``.
    """

    given: ExitTables
    thresholds: Floats

    @property
    def has_exits(self) -> bool:
        """Whether jobs of any chain may leave early."""
        return self.given.has_exits

    @cached_property
    def _outcomes(self) -> list[NDArray[np.int16]]:
        """Outcome of each sample of each chain's trace [B, N]."""
        none = np.zeros((len(self.thresholds), 0), dtype=np.int16)
        traces, columns = self.given.traces, self.given.threshold_columns
        return [
            self.given.outcomes_by(chain, self.thresholds[:, columns[chain.name]])
            if chain.name in traces
            else none
            for chain in self.given.base.problem.chains
        ]

    @cached_property
    def _probability(self) -> list[Floats]:
        """Share of the jobs of each chain that leaves at each of its exits [B, X]."""
        count = len(self.thresholds)
        shares = []
        chains = self.given.base.problem.chains
        for chain, rows, outcomes in zip(chains, self.given.exits, self._outcomes, strict=True):
            if outcomes.shape[1]:
                shares.append(self.given.shares(chain, outcomes, len(rows["fragment"])))
            else:
                shares.append(np.tile(np.array(rows["probability"], dtype=np.float64), (count, 1)))
        return shares

    @cached_property
    def _classifiers(self) -> list[Law | None]:
        """Law of the classifier after each slot, open or not [F]; None where none can be open."""
        laws: list[Law | None] = []
        for (c, f), head in zip(self.given.slots, self.given.heads, strict=True):
            chain = self.given.base.problem.chains[c]
            item = chain.fragments[f].exit
            laws.append(item.head if item is not None and chain.name in self.given.traces else head)
        return laws

    @cached_property
    def is_open(self) -> NDArray[np.bool_]:
        """Whether the classifier at each place is computed [B F]."""
        is_open = np.zeros((len(self.thresholds), len(self.given.slots)), dtype=bool)
        for slot, (c, f) in enumerate(self.given.slots):
            chain = self.given.base.problem.chains[c]
            if chain.fragments[f].exit is None or chain.name not in self.given.traces:
                is_open[:, slot] = self.given.heads[slot] is not None
                continue
            before = sum(fragment.exit is not None for fragment in chain.fragments[:f])
            tau = self.thresholds[:, self.given.threshold_columns[chain.name].start + before]
            is_open[:, slot] = tau <= 1  # no confidence is above 1
        return is_open.ravel()

    @cached_property
    def random_head(self) -> NDArray[np.bool_]:
        """Whether any open classifier takes a random time [B]."""
        random = np.array([law is not None and law.is_random for law in self._classifiers])
        is_open = self.is_open.reshape(len(self.thresholds), -1)
        return np.asarray((is_open & random).any(axis=1))

    @cached_property
    def head_moments(self) -> tuple[Floats, Floats]:
        """Mean [s] and variance [s^2] of the open classifier of each place by device [B F, D]."""
        speed = self.given.head_speed
        laws = self._classifiers
        mean = np.array([0.0 if law is None else law.mean for law in laws])
        scv = np.array([0.0 if law is None else law.scv for law in laws])
        times = mean[:, None] / speed
        count, is_open = len(self.thresholds), self.is_open[:, None]
        variances = scv[:, None] * times**2
        return np.tile(times, (count, 1)) * is_open, np.tile(variances, (count, 1)) * is_open

    @cached_property
    def passing(self) -> Floats:
        """Share of the jobs of a path that need each place [B F]."""
        shares = [
            needing(self._probability[c], self.given.exits[c]["fragment"], f)
            for c, f in self.given.slots
        ]
        return np.stack(shares, axis=1).ravel()

    def exit_rows(self, count: int) -> Rows:
        """Return the exit columns.

        Args:
            count: Number of placements, one per vector of thresholds.

        Returns:
            Columns of a batch.
        """
        shares = np.concatenate(self._probability, axis=1).ravel()
        return self.given.exit_rows(count) | {"exit_probability": shares}

    def draw_rows(self, count: int) -> Rows:
        """Return what the exits of jobs are drawn from.

        Args:
            count: Number of placements, one per vector of thresholds.

        Returns:
            Columns of a batch.
        """
        outcomes = np.concatenate(self._outcomes, axis=1).ravel()
        return self.given.draw_rows(count) | {"trace_exit": outcomes}

    def head_rows(self, place: Ints, device: NDArray[np.int32]) -> Rows:
        """Return the columns of open classifiers.

        Args:
            place: Place of each fragment row [N].
            device: Its device [N].

        Returns:
            Columns of a batch.
        """
        slot, is_open = place % len(self.given.slots), self.is_open[place]
        laws = self._classifiers
        codes = np.array([-1 if law is None else LAW_NAMES.index(law.name) for law in laws])
        parameters = [() if law is None else law.parameters() for law in laws]
        sizes = np.array([len(values) for values in parameters], dtype=np.int64)
        flat = np.array([x for values in parameters for x in values], dtype=np.float64)
        counts = np.where(is_open, sizes[slot], 0)
        speed = self.given.head_speed
        return {
            "fragment_head": np.where(is_open, codes[slot], -1).astype(np.int8),
            "fragment_head_speed": np.where(is_open, speed[device], 1.0),
            "head_parameter_start": starts_of(counts),
            "head_parameter": flat[ranges(starts_of(sizes)[slot], counts)],
        }
