"""Latency without a queue, as tables: what the classical placements minimise.

A request takes the times of its fragments and of the transfers between devices, and meets nobody
else. Early exits count with the share of the requests that get so far. D devices, F slots.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datagen.errors import NotSupportedError
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["UnloadedTimes"]

Floats = NDArray[np.float64]


class UnloadedTimes:
    """What each fragment and each transfer adds to the latency of its request.

    Args:
        space: The placements of the problem.

    Raises:
        NotSupportedError: If a chain is parallel: its latency is no sum.
    """

    def __init__(self, space: PlacementSpace) -> None:
        if space.tables.chains["chain_parallel"].any():
            raise NotSupportedError("unloaded latency", "parallel=true")
        self._space = space
        self._tables = space.tables

    @cached_property
    def share(self) -> Floats:
        """Share of the requests of its chain that need each slot, in [0, 1] [F]."""
        tables = self._tables
        return np.asarray(tables.path_probability[self._space.path] * tables.leaving.passing)

    @cached_property
    def service(self) -> Floats:
        """Mean time of a request in each slot by device, its open exit included [s] [F, D]."""
        return np.asarray(self._tables.moments[0] + self._tables.leaving.head_moments[0])

    @cached_property
    def load(self) -> Floats:
        """Share of a device's servers that each slot keeps busy [F, D]; NaN where not allowed."""
        chain = np.array([chain for chain, _ in self._tables.slots])
        rate = self._tables.chains["chain_rate"][chain] * self.share
        return np.asarray(rate[:, None] * self.service / self._tables.devices["device_servers"])

    @cached_property
    def followed(self) -> NDArray[np.int64]:
        """Slots that another of the same path follows, ascending; it is the next slot."""
        return np.flatnonzero(~np.append(self._tables.path_first[1:], True))

    def transfer(self, slot: int) -> Floats:
        """Return the time from a slot to the next one of its path.

        Args:
            slot: One of :attr:`followed`.

        Returns:
            Times [s] by sending and receiving device [D, D], 0 on the diagonal.
        """
        links = self._tables.links
        return np.asarray(links.latency + self._tables.output[slot] / links.bandwidth)

    def latency(self, placement: Placements) -> Floats:
        """Return the sum over chains of the mean latency that their requests have alone.

        Args:
            placement: Device index per slot [B, F], each allowed.

        Returns:
            Sums [s] [B].
        """
        slots = np.arange(self._space.slots)
        total = (self.share * self.service[slots, placement]).sum(axis=1)
        for slot in self.followed.tolist():
            ends = placement[:, slot], placement[:, slot + 1]
            total += self.share[slot + 1] * self.transfer(slot)[ends]
        return np.asarray(total)
