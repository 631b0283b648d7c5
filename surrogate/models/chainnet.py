"""A ChainNet-style graph network: recurrence along flows, attention at devices, bounded read-out.

References:
    Niu, Roveri and Casale, ChainNet: A customized graph neural network model for loss-aware edge AI
    service deployment, DSN 2024 (the alternation of chain recurrence, fragment and device updates).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from datagen.errors import require
from surrogate.features.arrays import FlowArrays
from surrogate.features.features import Features
from surrogate.models.attention import DeviceAttention
from surrogate.models.network import DeploymentNetwork, correction_head

__all__ = ["ChainNet"]


class ChainNet(DeploymentNetwork):
    """Predicts the share passed and the sojourn of every step, and what follows from them.

    Args:
        hidden: Width of all states, even, >= 2.
        iterations: Rounds of message passing, >= 1; the weights are shared between them.
    """

    def __init__(self, hidden: int = 64, iterations: int = 2) -> None:
        super().__init__(hidden)
        require(iterations >= 1, "iterations", "be >= 1", iterations)
        self.settings["iterations"] = iterations
        self.iterations = iterations
        self.recurrence = nn.GRU(2 * hidden, hidden)
        self.attention = DeviceAttention(2 * hidden, hidden)
        self.device_update = nn.GRUCell(hidden, hidden)
        self.step_update = nn.GRUCell(2 * hidden, hidden)
        self.head = correction_head(3 * hidden, hidden)

    def corrections(self, arrays: FlowArrays, features: Features) -> Tensor:
        step = self.step_encoder(features.step)  # [S, H]
        device = self.device_encoder(features.device)  # [D, H]
        flow = self.flow_encoder(features.flow)  # [P, H], longest first
        at = arrays.step_device
        for _ in range(self.iterations):
            packed = PackedSequence(
                torch.cat([step, arrays.at_steps(device)], dim=-1), arrays.flow_sizes
            )
            output, last = self.recurrence(packed, flow.unsqueeze(0))
            passed, flow = output.data, last[0]  # [S, H], [P, H]
            heard = self.attention(torch.cat([passed, step], dim=-1), at, arrays.devices)
            device = self.device_update(heard, device)
            step = self.step_update(torch.cat([passed, arrays.at_steps(device)], dim=-1), step)
        return self.head(  # type: ignore[no-any-return]
            torch.cat([step, arrays.at_steps(device), arrays.of_flows(flow)], dim=-1)
        )
