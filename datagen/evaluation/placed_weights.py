"""The memory rule: a fragment's weights lie on a device once, however many paths run it there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.slots import Slots

__all__ = ["PlacedWeights"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlacedWeights(Slots):
    """The slots of one deployment's problem and the bytes that placing them takes."""

    @cached_property
    def memory(self) -> Floats:
        """Memory of each device [B] [D]; inf if unlimited."""
        given = [device.memory for device in self.base.problem.devices]
        return np.array([np.inf if size is None else size for size in given], dtype=np.float64)

    @cached_property
    def twins(self) -> NDArray[np.bool_]:
        """Whether two slots are one fragment on different paths [F, F]; False of a slot itself."""
        fragment = np.array(self.slots)
        same = (fragment[:, None] == fragment[None]).all(axis=2)
        return np.asarray(same & ~np.eye(len(fragment), dtype=bool))

    def added(self, placement: NDArray[np.int32], slot: Ints) -> Floats:
        """Return what placing one more slot of each row adds to each device.

        Args:
            placement: Device index per slot [B, F]; -1 where a slot is not placed yet.
            slot: The slot to place [B].

        Returns:
            Bytes [B, D].
        """
        devices = len(self.base.problem.devices)
        need = np.repeat(self.weights[slot][:, None], devices, axis=1)
        row, twin = np.nonzero(self.twins[slot] & (placement >= 0))
        need[row, placement[row, twin]] = 0.0
        return need

    def hosted(self, placement: NDArray[np.int32]) -> Floats:
        """Return the weights that lie on each device.

        Args:
            placement: Device index per slot [B, F].

        Returns:
            Bytes [B, D].
        """
        count, devices = len(placement), len(self.base.problem.devices)
        weights = np.tile(self.weights, (count, 1))
        earlier = np.tril(self.twins)
        for slot in np.flatnonzero(earlier.any(axis=1)):
            lies_there = placement[:, earlier[slot]] == placement[:, [slot]]
            weights[lies_there.any(axis=1), slot] = 0.0
        place = placement + np.arange(count)[:, None] * devices
        total = np.bincount(place.ravel(), weights.ravel(), minlength=count * devices)
        return np.asarray(total.reshape(count, devices), dtype=np.float64)

    def memory_excess(self, placement: NDArray[np.int32]) -> Floats:
        """Return by how many bytes the weights exceed the memory of the devices.

        Args:
            placement: Device index per slot [B, F].

        Returns:
            Total over all devices [B] [bytes]; 0 where everything fits.
        """
        over = self.hosted(placement) - self.memory
        return np.asarray(np.maximum(over, 0.0).sum(axis=1))
