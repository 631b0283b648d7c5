"""A ChainNet-style graph network: recurrence along flows, attention at devices, bounded read-out.

References:
    Niu, Roveri and Casale, ChainNet: A customized graph neural network model for loss-aware edge AI
    service deployment, DSN 2024 (the alternation of chain recurrence, fragment and device updates).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from datagen.errors import require
from surrogate.features.arrays import FlowArrays
from surrogate.features.features import Features
from surrogate.models.attention import DeviceAttention
from surrogate.models.latency_law import LEVELS
from surrogate.models.network import DeploymentNetwork, States, correction_head, law_head

__all__ = ["ChainNet"]


class _GatedUpdate(nn.Module):
    """A state moves towards a candidate as far as its gate opens.

    That is a gated recurrent unit without its reset gate, after Zhou, Wu, Zhang and Zhou, Minimal
    gated unit for recurrent neural networks, 2016: as accurate here at two thirds of the cost.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.both = nn.Linear(inputs + hidden, 2 * hidden)

    def forward(self, heard: Tensor, state: Tensor) -> Tensor:
        gate, candidate = self.both(torch.cat([heard, state], dim=-1)).chunk(2, dim=-1)
        return torch.lerp(state, torch.tanh(candidate), torch.sigmoid(gate))


class ChainNet(DeploymentNetwork):
    """Predicts the share passed and the sojourn of every step, and what follows from them.

    Args:
        hidden: Width of all states, even, >= 2.
        iterations: Rounds of message passing, >= 1; the weights are shared between them.
        groups: Feature groups it reads beside the plain features.
        quick_jobs: Whether it says how latencies below the median scatter, apart from those above:
            for attained deadlines.
    """

    def __init__(
        self,
        hidden: int = 48,
        iterations: int = 2,
        groups: Sequence[str] = (),
        quick_jobs: bool = False,
    ) -> None:
        super().__init__(hidden, groups)
        if quick_jobs:
            self.settings["quick_jobs"] = True
        require(iterations >= 1, "iterations", "be >= 1", iterations)
        self.settings["iterations"] = iterations
        self.iterations = iterations
        self.recurrence = nn.GRU(2 * hidden, hidden)
        self.attention = DeviceAttention(2 * hidden, hidden)
        self.device_update = _GatedUpdate(hidden, hidden)
        self.step_update = _GatedUpdate(2 * hidden, hidden)
        self.head = correction_head(3 * hidden, hidden)
        self.law_head = law_head(hidden, len(LEVELS) + quick_jobs)

    def states(self, arrays: FlowArrays, features: Features) -> States:
        step = self.step_encoder(features.step)  # [S, H]
        device = self.device_encoder(features.device)  # [D, H]
        flow = self.flow_encoder(features.flow)  # [P, H], longest first
        at = arrays.step_device
        for _ in range(self.iterations):
            met = torch.cat([step, arrays.at_steps(device)], dim=-1)
            passed, flow = self.along_flows(arrays, met, flow)
            heard = self.attention(torch.cat([passed, step], dim=-1), at, arrays.devices)
            device = self.device_update(heard, device)
            step = self.step_update(torch.cat([passed, arrays.at_steps(device)], dim=-1), step)
        return step, device, flow

    def along_flows(self, arrays: FlowArrays, met: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Run the recurrence from the first step of every flow to its last.

        Args:
            arrays: The deployments.
            met: What a flow meets at each step [S, 2 H].
            flow: States of the flows before their first step [P, H].

        Returns:
            States of the flows behind each step [S, H] and behind their last one [P, H].
        """
        packed = PackedSequence(met, arrays.flow_sizes)
        output, last = self.recurrence(packed, flow.unsqueeze(0))
        return output.data, last[0]
