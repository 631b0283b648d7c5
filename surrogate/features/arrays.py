"""Packed deployments as tensors in *recurrence order*, so that no model ever sorts or pads.

A *flow* is one path of a chain. Flows are sorted by length, longest first, and their steps laid out
position by position: the steps at position k of all flows that long, then those at k + 1. That is
the layout of PyTorch's packed sequences: a recurrent layer runs over ragged flows without copies.

Letters: C chains, P flows, S steps, D devices, B deployments, Q pairs of steps on a shared hop.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datagen.evaluation import DeploymentBatch
from surrogate.features.hops import Hops, shared_hops

__all__ = ["FlowArrays", "flow_arrays"]

_ON_THE_HOST = ("flow_sizes", "deployments", "known_hops", "batch")
"""Fields that are not simply moved to another device."""


@dataclass(frozen=True, kw_only=True)
class FlowArrays:
    """Tensors of B deployments; steps in recurrence order, flows sorted by length.

    Args:
        step_device: Device of each step [S].
        step_flow: Flow of each step, by its place in the sorted order [S].
        step_previous: The step before in the flow; itself at position 0 [S].
        step_position: 0-based position in the flow [S].
        flow_sizes: Steps at each position, non-increasing [longest flow] (on the CPU).
        flow_chain: Chain of each flow [P].
        flow_rate: Arrival rate [1/s] [P].
        flow_probability: Share of its chain's jobs [P].
        flow_length: Number of steps [P].
        chain_scv: SCV of the interarrival time [C].
        chain_deployment: Deployment of each chain [C].
        device_deployment: Deployment of each device [D].
        step_mean: Mean service time on its device [s] [S].
        step_scv: SCV of the service time [S].
        step_demand: Buffer units [S].
        device_capacity: Buffer units, inf if unlimited [D].
        device_servers: Servers [D].
        step_row: Row of each step in the batch's own order [S].
        deployments: B.
        known_hops: The hops, where they have been found already.
        batch: The deployments packed, for feature groups; only they read it.
    """

    step_device: Tensor
    step_flow: Tensor
    step_previous: Tensor
    step_position: Tensor
    flow_sizes: Tensor
    flow_chain: Tensor
    flow_rate: Tensor
    flow_probability: Tensor
    flow_length: Tensor
    chain_scv: Tensor
    chain_deployment: Tensor
    device_deployment: Tensor
    step_mean: Tensor
    step_scv: Tensor
    step_demand: Tensor
    device_capacity: Tensor
    device_servers: Tensor
    step_row: Tensor
    deployments: int
    known_hops: Hops | None = None
    batch: DeploymentBatch | None = None

    @cached_property
    def hops(self) -> Hops:
        """Hops that several steps share, found when first asked for."""
        if self.known_hops is not None:
            return self.known_hops
        host = (self.step_device.cpu(), self.step_previous.cpu(), self.step_position.cpu())
        device, previous, position = (values.numpy() for values in host)
        found = shared_hops(device, previous, position, self.devices)
        return found.to(self.step_device.device)

    def to(self, device: torch.device | str, **_: Any) -> FlowArrays:
        """Return the same arrays on another device (``flow_sizes`` stays on the CPU).

        Away from the CPU the prior needs the hops, which are found here.

        Args:
            device: Torch device.

        Returns:
            The moved arrays.
        """
        moved = {
            item.name: getattr(self, item.name).to(device)
            for item in fields(self)
            if item.name not in _ON_THE_HOST
        }
        elsewhere = torch.device(device).type != "cpu"
        return replace(self, **moved, known_hops=self.hops.to(device) if elsewhere else None)

    @property
    def chains(self) -> int:
        """Number of chains, C."""
        return self.chain_scv.shape[0]

    @property
    def devices(self) -> int:
        """Number of devices, D."""
        return self.device_capacity.shape[0]

    def sum_to_devices(self, values: Tensor) -> Tensor:
        """Add step values up by device: [S, ...] -> [D, ...]."""
        return _sum(values, self.step_device, self.devices)

    def sum_to_hops(self, values: Tensor) -> Tensor:
        """Add step values up by hop; first steps of flows make a last one: [S] -> [hops + 1]."""
        return _sum(values, self.hops.step_hop, self.hops.number + 1)

    def at_steps(self, values: Tensor) -> Tensor:
        """Return of each step the value of its device: [D, ...] -> [S, ...].

        Indexing by brackets says the same and is up to ten times as slow.
        """
        return values.index_select(0, self.step_device)

    def of_flows(self, values: Tensor) -> Tensor:
        """Return of each step the value of its flow: [P, ...] -> [S, ...]."""
        return values.index_select(0, self.step_flow)

    def at_previous(self, values: Tensor) -> Tensor:
        """Return of each step the value of the step before: [S, ...] -> [S, ...]."""
        return values.index_select(0, self.step_previous)

    def running_product(self, factor: Tensor) -> Tensor:
        """Return the product of a factor over the *earlier* steps of the flow, 1 at position 0.

        Args:
            factor: Factor of each step [S].

        Returns:
            Products [S].
        """
        sizes = self.flow_sizes.tolist()
        product = [torch.ones_like(factor[: sizes[0]])]
        start = 0
        for size, following in zip(sizes, sizes[1:], strict=False):
            reached = product[-1] * factor[start : start + size]
            product.append(reached[:following])
            start += size
        return torch.cat(product)

    def sum_to_flows(self, values: Tensor) -> Tensor:
        """Add step values up by flow: [S] -> [P]."""
        return _sum(values, self.step_flow, self.flow_chain.shape[0])


def _sum(values: Tensor, index: Tensor, count: int) -> Tensor:
    """Add rows up by index. On the CPU ``scatter_add`` of vectors is five times as fast."""
    total = values.new_zeros(count, *values.shape[1:])
    if values.dim() == 1:
        return total.scatter_add(0, index, values)
    return total.index_add(0, index, values)


def _real(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _index(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))


def flow_arrays(batch: DeploymentBatch) -> FlowArrays:
    """Lay out a batch for recurrence.

    Args:
        batch: Packed deployments; laws are not needed.

    Returns:
        Its tensors on the CPU.
    """
    length = batch.counts("step")
    order = np.argsort(-length, kind="stable")
    ordered_length = length[order]
    longest = int(ordered_length[0])
    # Flows that reach position k: the first sizes[k] of the sorted ones.
    sizes = np.searchsorted(-ordered_length, -np.arange(longest), side="left")
    first = batch.step_start[:-1][order]
    row = np.concatenate([first[:size] + k for k, size in enumerate(sizes)])
    position = np.repeat(np.arange(longest), sizes)
    flow = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    before = np.repeat(np.concatenate([[0], sizes[:-1]]), sizes)
    chain = np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))[order]
    probability = batch.path_probability[order]
    return FlowArrays(
        step_device=_index(batch.step_device_row[row]),
        step_flow=_index(flow),
        step_previous=_index(np.arange(len(row)) - before),
        step_position=_index(position),
        flow_sizes=_index(sizes),
        flow_chain=_index(chain),
        flow_rate=_real(batch.chain_rate[chain] * probability),
        flow_probability=_real(probability),
        flow_length=_index(ordered_length),
        chain_scv=_real(batch.chain_scv),
        chain_deployment=_index(batch.owner("chain")),
        device_deployment=_index(batch.owner("device")),
        step_mean=_real(batch.step_mean[row]),
        step_scv=_real(batch.step_scv[row]),
        step_demand=_real(batch.step_demand[row]),
        device_capacity=_real(batch.device_capacity),
        device_servers=_real(batch.device_servers),
        step_row=_index(row),
        deployments=len(batch),
        batch=batch,
    )
