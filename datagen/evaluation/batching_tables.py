"""Accelerators of one deployment's problem as arrays that all its placements share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.evaluation.fields import ranges, starts_of
from datagen.npu import BATCH_POLICIES
from datagen.steps import stays

__all__ = ["BatchingTables"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class BatchingTables:
    """How the accelerators of a problem form batches, and how long these take.

    Args:
        base: A deployment of the problem; its batching is that of all placements.
        slots: (chain, fragment) of each place in its placement vector [F].
    """

    base: Deployment
    slots: list[tuple[int, int]]

    @cached_property
    def has_accelerators(self) -> bool:
        """Whether any device is an accelerator."""
        return any(device.npu is not None for device in self.base.problem.devices)

    @cached_property
    def accelerated(self) -> NDArray[np.bool_]:
        """Whether each device is an accelerator [D]."""
        return np.array([device.npu is not None for device in self.base.problem.devices])

    @cached_property
    def _follows(self) -> NDArray[np.bool_]:
        """Whether each slot comes right after a classifier of its chain [F]."""
        chains = self.base.problem.chains
        return np.array([f > 0 and chains[c].classified[f - 1] for c, f in self.slots])

    def segmented(self, placement: NDArray[np.int32]) -> NDArray[np.bool_] | None:
        """Return which slots begin a segment after a classifier; None without accelerators.

        Args:
            placement: Device index per slot [B, F].

        Returns:
            Flags [B, F].
        """
        if not self.has_accelerators:
            return None
        return np.asarray(self.accelerated[placement] & self._follows)

    def stayed(
        self, placement: NDArray[np.int32], path_first: NDArray[np.bool_], begin: Ints
    ) -> NDArray[np.bool_] | None:
        """Return which steps go on with a visit to an accelerator; None without accelerators.

        Args:
            placement: Device index per slot [B, F].
            path_first: Whether a slot is the first of its path [F].
            begin: The fragment row that each step begins with [S].

        Returns:
            Flags [S].
        """
        if not self.has_accelerators:
            return None
        there = self.accelerated[placement] & stays(placement, path_first)
        return np.asarray(there.ravel()[begin])

    @cached_property
    def _parameters(self) -> list[tuple[float, ...]]:
        """What is stored of each device's batching, see ``batching_parameter`` [D]."""
        rows: list[tuple[float, ...]] = []
        for device in self.base.problem.devices:
            if device.npu is None:
                rows.append(())
                continue
            config = self.base.batch_config(device.name)
            rows.append((
                BATCH_POLICIES.index(config.policy),
                config.max_batch,
                config.timeout,
                config.compaction or device.npu.compacts,
                config.survivors == "expected",
            ))
        return rows

    @cached_property
    def _seconds(self) -> tuple[Ints, Ints, Floats]:
        """Where the times of each slot on each device begin [F, D], the sizes [D], the times."""
        problem = self.base.problem
        first = np.zeros((len(self.slots), len(problem.devices)), dtype=np.int64)
        sizes = np.array([int(row[1]) if row else 0 for row in self._parameters])
        parts, total = [np.empty(0)], 0
        for place, (c, f) in enumerate(self.slots):
            chain = problem.chains[c]
            for d, device in enumerate(problem.devices):
                if device.npu is None or not chain.may_run_on(f, device):
                    continue
                table = device.npu.times(str(chain.model), chain.classified, int(sizes[d]))
                first[place, d] = total
                parts.append(table.seconds[f])
                total += len(parts[-1])
        return first, sizes, np.concatenate(parts)

    def rows(self, slot: Ints, device: NDArray[np.int32], begin: Ints, count: int) -> Rows:
        """Return the columns of a number of placements.

        Args:
            slot: Slot of each fragment row [N].
            device: Its device [N].
            begin: The fragment row that each step begins with [S].
            count: Number of placements.

        Returns:
            Offsets and columns of the levels ``batching`` and ``table``.
        """
        if not self.has_accelerators:  # as usual, and searches pack often
            devices = len(self.base.problem.devices)
            return {
                "batching_start": np.zeros(count * devices + 1, dtype=np.int64),
                "batching_parameter": np.empty(0),
                "table_start": np.zeros(len(begin) + 1, dtype=np.int64),
                "table_seconds": np.empty(0),
            }
        counts = np.array([len(row) for row in self._parameters])
        parameters = np.array([x for row in self._parameters for x in row], dtype=np.float64)
        first, sizes, seconds = self._seconds
        sizes = sizes[device]
        # A step of several fragments takes the sum of their times, size by size.
        rows = seconds[ranges(first[slot, device], sizes)]
        step = np.repeat(np.arange(len(begin)), np.diff(np.append(begin, len(slot))))
        own = starts_of(sizes[begin])
        place = ranges(own[step], sizes)
        return {
            "batching_start": starts_of(np.tile(counts, count)),
            "batching_parameter": np.tile(parameters, count),
            "table_start": own,
            "table_seconds": np.bincount(place, rows, minlength=int(own[-1])),
        }
