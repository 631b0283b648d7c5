"""The space of placements of one problem, as arrays: what may run where, and what fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.evaluation import Candidates
from datagen.evaluation.packing import DeploymentTables

__all__ = ["PlacementSpace"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Placements = NDArray[np.int32]


class PlacementSpace:
    """All placements of a deployment's problem; everything else stays as in that deployment.

    A *slot* is one (chain, path, fragment); a placement is a device index per slot. F slots,
    D devices.

    Args:
        base: The deployment that is varied.
    """

    def __init__(self, base: Deployment) -> None:
        self.base = base
        self.tables = DeploymentTables(base)
        self.allowed: NDArray[np.bool_] = self.tables.allowed  # [F, D]
        self.slots, self.devices = self.allowed.shape
        self.weights: Floats = self.tables.weights  # [F]
        self.memory: Floats = self.tables.devices["device_memory"]  # [D]
        self.path: Ints = self.tables.slot_path  # [F]
        ends = np.append(np.flatnonzero(self.tables.path_first)[1:], self.slots)
        self.path_end: Ints = ends[self.path]  # [F]
        self.choices_count: Ints = self.allowed.sum(axis=1)  # [F]
        order = np.argsort(~self.allowed, axis=1, kind="stable")
        self.choices: Placements = order.astype(np.int32)  # [F, D], the allowed devices first

    @property
    def start(self) -> Placements:
        """The base's own placement [F]."""
        return self.tables.base_placement()

    @property
    def size(self) -> float:
        """Number of placements, whether they fit or not."""
        return float(np.prod(self.choices_count.astype(float)))

    def work(self) -> Floats:
        """Return the load each slot would put on each device [F, D]; NaN where not allowed."""
        chain_of_path = np.repeat(np.arange(len(self.tables.path_counts)), self.tables.path_counts)
        rate = self.tables.chains["chain_rate"][chain_of_path] * self.tables.path_probability
        mean, _ = self.tables.moments
        return np.asarray(rate[self.path][:, None] * mean / self.tables.devices["device_servers"])

    def candidates(self, placement: NDArray[np.integer]) -> Candidates:
        """Return placements as candidates.

        Args:
            placement: Device index per slot [B, F], each allowed.

        Returns:
            B candidates that share this space's tables.
        """
        rows = np.asarray(placement, dtype=np.int32)
        return Candidates(base=self.base, placement=rows, tables=self.tables)

    def rows(self, candidates: Candidates) -> Placements:
        """Return the rows that candidates were made of.

        Args:
            candidates: What :meth:`candidates` returned.

        Returns:
            Device index per slot [B, F].
        """
        return candidates.placement

    def placements(self, rows: Placements) -> Placements:
        """Return the placements of rows.

        Args:
            rows: Rows of this space [B, F].

        Returns:
            Device index per slot [B, F].
        """
        return rows

    def repeated_start(self, count: int) -> Candidates:
        """Return the start several times over, to warm evaluators up with.

        Args:
            count: How often.

        Returns:
            ``count`` equal candidates.
        """
        return self.candidates(np.tile(self.start, (count, 1)))

    def excess(self, placement: Placements) -> Floats:
        """Return by how many bytes the weights exceed the devices' memory.

        Args:
            placement: Device index per slot [B, F], each allowed.

        Returns:
            Total excess [B] [bytes]; 0 where everything fits.
        """
        return self.tables.memory_excess(placement)

    def random_devices(self, slots: Ints, rng: np.random.Generator) -> Placements:
        """Draw an allowed device for each of some slots.

        Args:
            slots: Slots, any shape.
            rng: Random numbers.

        Returns:
            Devices, same shape.
        """
        pick = (rng.random(slots.shape) * self.choices_count[slots]).astype(np.int64)
        return np.asarray(self.choices[slots, pick])
