"""What deployments say of jobs that get in each other's way, as tensors in the order of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datagen.deployment import DISCIPLINES
from datagen.evaluation import DeploymentBatch, Effect
from surrogate.features.arrays import FlowArrays
from surrogate.features.group import packed

__all__ = ["Contenders"]


@dataclass(frozen=True, kw_only=True)
class Contenders:
    """Who contends for what.

    Args:
        shared: Devices that share their processors [D].
        prioritized: Devices that serve by priority [D].
        tabled: Devices whose servers slow each other down [D].
        slowdown: Time of a service with 1, 2, ... busy servers over that of one alone; beyond the
            servers, that of the last [D, most servers].
        blocking: Devices whose jobs wait for room ahead [D].
        priority: Class of each step's chain [S].
        branch: Steps of parallel chains [S].
        branches: Branches of each flow's path, 0 where it is not parallel [P].
    """

    shared: Tensor
    prioritized: Tensor
    tabled: Tensor
    slowdown: Tensor
    blocking: Tensor
    priority: Tensor
    branch: Tensor
    branches: Tensor

    @classmethod
    def of(cls, arrays: FlowArrays) -> Contenders:
        """Read what arrays leave out.

        Args:
            arrays: The deployments, made from a batch.

        Returns:
            The contenders.
        """
        batch = packed(arrays)
        like = arrays.step_mean
        shared = batch.device_discipline == DISCIPLINES.index("ps")
        prioritized = batch.device_discipline == DISCIPLINES.index("priority")
        blocks = (batch.effects & int(Effect.BLOCKING)) != 0
        tabled, slowdown = _slowdowns(batch)
        priority = torch.from_numpy(batch.chain_priority.astype(np.int64)).to(like.device)
        chain = arrays.flow_chain.index_select(0, arrays.step_flow)
        branches = torch.zeros_like(arrays.flow_chain, dtype=like.dtype)
        if arrays.branches is not None:
            parallel = torch.from_numpy(batch.chain_parallel > 0).to(like.device)
            count = arrays.branches.path_branches[arrays.branches.flow_path].to(like.dtype)
            branches = torch.where(parallel[arrays.flow_chain], count, branches)

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(like.device)

        return cls(
            shared=tensor(shared),
            prioritized=tensor(prioritized),
            tabled=tensor(tabled),
            slowdown=tensor(slowdown).to(like.dtype),
            blocking=tensor(blocks[batch.owner("device")]),
            priority=priority[chain],
            branch=arrays.of_flows(branches) > 0,
            branches=branches,
        )

    def slowed(self, busy: Tensor) -> Tensor:
        """Return how much longer services take with so many busy servers, between the entries.

        Args:
            busy: Busy servers of each device, real [D].

        Returns:
            Ratios [D].
        """
        most = self.slowdown.shape[1]
        place = (busy - 1.0).clamp(0.0, most - 1.0)
        low = place.detach().floor().long()
        high = (low + 1).clamp_max(most - 1)
        left = self.slowdown.gather(1, low[:, None])[:, 0]
        right = self.slowdown.gather(1, high[:, None])[:, 0]
        return torch.lerp(left, right, place - low)


def _slowdowns(batch: DeploymentBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return who has a speed-up table [D], and how it slows services down [D, most servers]."""
    count = len(batch.device_speed)
    if batch.speedup_start is None or batch.speedup_factor is None:
        return np.zeros(count, dtype=bool), np.ones((count, 1))
    sizes = np.diff(batch.speedup_start)
    most = max(int(sizes.max(initial=1)), 1)
    tabled = sizes > 0
    place = np.minimum(np.arange(most), np.maximum(sizes, 1)[:, None] - 1)
    slowdown = np.ones((count, most))
    rows = batch.speedup_start[:-1][tabled][:, None] + place[tabled]
    table = batch.speedup_factor[rows]
    slowdown[tabled] = table[:, :1] / table
    return tabled, slowdown
