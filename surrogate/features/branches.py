"""Branches: the steps of a parallel chain, each a flow of its own, which meet again at the end.

A parallel chain starts all its steps at once, so nothing flows from one to the next. To the prior
and to a network they are flows of one step that share a chain; only the read-out joins them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.evaluation import DeploymentBatch, Effect

__all__ = ["Branches", "Pieces", "pieces_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Branches:
    """How flows make up the paths of chains.

    Args:
        flow_path: Path of each flow [P].
        path_chain: Chain of each path [W].
        path_probability: Share of its chain's jobs [W].
        path_branches: Flows of each path, 1 where it is not parallel [W].
    """

    flow_path: Tensor
    path_chain: Tensor
    path_probability: Tensor
    path_branches: Tensor

    def to(self, device: torch.device | str) -> Branches:
        """Return the same on another device.

        Args:
            device: Torch device.

        Returns:
            The moved indices.
        """
        return Branches(**{item.name: getattr(self, item.name).to(device) for item in fields(self)})

    @property
    def paths(self) -> int:
        """Number of paths, W."""
        return len(self.path_chain)

    def total(self, columns: Tensor) -> Tensor:
        """Return the sums over the flows of each path.

        Args:
            columns: Values of the flows [P, N].

        Returns:
            Sums [W, N].
        """
        empty = columns.new_zeros(self.paths, columns.shape[1])
        return empty.index_add(0, self.flow_path, columns)

    def extreme(self, values: Tensor, kind: Literal["amin", "amax"]) -> Tensor:
        """Return the least or the largest of the flows of each path.

        Args:
            values: Values of the flows [P].
            kind: Which of both.

        Returns:
            Values [W].
        """
        empty = values.new_zeros(self.paths)
        return empty.scatter_reduce(0, self.flow_path, values, kind, include_self=False)


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """What the flows of a batch are: whole paths, or steps of parallel ones.

    Args:
        path: Path row of each flow [P].
        first: Its first step [P].
        length: Its steps [P].
        parallel: Whether any of them is a branch.
    """

    path: Ints
    first: Ints
    length: Ints
    parallel: bool


def pieces_of(batch: DeploymentBatch) -> Pieces:
    """Return the flows of a batch in its own order.

    Args:
        batch: Packed deployments.

    Returns:
        The flows.
    """
    length, first = batch.counts("step"), batch.step_start[:-1]
    path = np.arange(len(length))
    if not np.any(batch.effects & int(Effect.PARALLEL)):
        return Pieces(path=path, first=first, length=length, parallel=False)
    chain = np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))
    apart = batch.chain_parallel[chain] > 0
    count = np.where(apart, length, 1)
    flow_path = np.repeat(path, count)
    place = np.arange(len(flow_path)) - np.repeat(np.cumsum(count) - count, count)
    return Pieces(
        path=flow_path,
        first=first[flow_path] + place,
        length=np.where(apart, 1, length)[flow_path],
        parallel=True,
    )
