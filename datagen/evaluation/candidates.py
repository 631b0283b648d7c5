"""Variants of one problem as one array each: what searches ask about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.errors import InvalidInputError, NotSupportedError, require
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.packing import DeploymentTables

__all__ = ["Candidates"]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """B variants of one deployment.

    Args:
        base: The deployment that is varied.
        placement: Device index per slot [B, F]; slots are (chain, path, fragment) in order.
        thresholds: Thresholds [B, T], or None to keep the base's.
        routing: Path probabilities [B, R], or None to keep the base's.
        batching: Batch settings [B, Q], or None to keep the base's.
        tables: Arrays of the base, made once and handed on between candidates of one search.
    """

    base: Deployment
    placement: NDArray[np.int32]
    thresholds: NDArray[np.float32] | None = None
    routing: NDArray[np.float32] | None = None
    batching: NDArray[np.int32] | None = None
    tables: DeploymentTables = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.tables is None:
            object.__setattr__(self, "tables", DeploymentTables(self.base))  # type: ignore[unreachable]
        for name in ("thresholds", "routing", "batching"):
            if getattr(self, name) is not None:
                raise NotSupportedError("Candidates", name)
        placement = np.array(self.placement, dtype=np.int32)
        slots, devices = self.tables.allowed.shape
        shaped = placement.ndim == 2 and placement.shape[1] == slots
        require(shaped, "placement", f"have shape [B, {slots}]", placement.shape)
        if placement.size and not (placement.min() >= 0 and placement.max() < devices):
            raise InvalidInputError("placement", f"lie in [0, {devices})", placement)
        permitted = self.tables.allowed[np.arange(slots), placement].all(axis=1)
        if not permitted.all():
            row = placement[int(np.argmin(permitted))]
            raise InvalidInputError("placement", "use allowed devices only", row.tolist())
        placement.setflags(write=False)
        object.__setattr__(self, "placement", placement)

    def __len__(self) -> int:
        return len(self.placement)

    def batch(self, *, laws: bool = True) -> DeploymentBatch:
        """Return the packed deployments without building objects.

        Args:
            laws: Whether the laws needed to simulate are included.

        Returns:
            B packed deployments sharing one problem key.
        """
        return self.tables.rows(self.placement, laws=laws)

    def deployment(self, index: int) -> Deployment:
        """Return one candidate as an object.

        Args:
            index: 0-based candidate.

        Returns:
            The base deployment with this candidate's decisions.
        """
        names = [device.name for device in self.base.problem.devices]
        devices = iter(names[d] for d in self.placement[index])
        placement = {
            chain: tuple(tuple(next(devices) for _ in path) for path in paths)
            for chain, paths in self.base.placement.items()
        }
        return replace(self.base, placement=placement)

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> Candidates:
        """Return some candidates, in the order given.

        Args:
            indices: 0-based candidates.

        Returns:
            The candidates at ``indices``.
        """
        return replace(self, placement=self.placement[np.asarray(indices, dtype=np.int64)])

    def memory_excess(self) -> NDArray[np.float64]:
        """Return by how many bytes the weights exceed the devices' memory.

        Paths of one chain share the weights of a fragment on a device.

        Returns:
            Total excess over all devices [B] [bytes]; 0 where everything fits.
        """
        return self.tables.memory_excess(self.placement)
