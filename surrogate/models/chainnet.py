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
from surrogate.features.features import (
    DEVICE_FEATURES,
    FLOW_FEATURES,
    STEP_FEATURES,
    FeatureFunction,
    Features,
)
from surrogate.models.attention import DeviceAttention
from surrogate.models.latency_law import LEVELS
from surrogate.models.readout import Prediction, read_out

__all__ = ["ChainNet"]


class _Standardised(nn.Module):
    """Encoder of raw features: fixed shift and scale, then one hidden layer."""

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.Tanh()
        )

    def fit(self, values: Tensor) -> None:
        """Take shift and scale from a sample [N, inputs]; constant features stay as they are."""
        std = values.std(dim=0, correction=0)
        self.mean.copy_(values.mean(dim=0))
        self.std.copy_(torch.where(std > 1e-4, std, torch.ones_like(std)))

    def forward(self, values: Tensor) -> Tensor:
        return self.layers((values - self.mean) / self.std)  # type: ignore[no-any-return]


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


class ChainNet(nn.Module):
    """Predicts the share passed and the sojourn of every step, and what follows from them.

    Args:
        hidden: Width of all states, even, >= 2.
        iterations: Rounds of message passing, >= 1; the weights are shared between them.
    """

    def __init__(self, hidden: int = 48, iterations: int = 2) -> None:
        super().__init__()
        require(hidden >= 2 and hidden % 2 == 0, "hidden", "be even and >= 2", hidden)
        require(iterations >= 1, "iterations", "be >= 1", iterations)
        self.settings = {"hidden": hidden, "iterations": iterations}
        self.iterations = iterations
        self.features = FeatureFunction()
        self.step_encoder = _Standardised(len(STEP_FEATURES), hidden)
        self.device_encoder = _Standardised(len(DEVICE_FEATURES), hidden)
        self.flow_encoder = _Standardised(len(FLOW_FEATURES), hidden)
        self.recurrence = nn.GRU(2 * hidden, hidden)
        self.attention = DeviceAttention(2 * hidden, hidden)
        self.device_update = _GatedUpdate(hidden, hidden)
        self.step_update = _GatedUpdate(2 * hidden, hidden)
        inner, correction = nn.Linear(3 * hidden, 2 * hidden), nn.Linear(2 * hidden, 2)
        self.head = nn.Sequential(inner, nn.SiLU(), correction)
        self.law_head = nn.Sequential(
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, len(LEVELS))
        )
        # A fresh network repeats the prior.
        nn.init.zeros_(correction.weight)
        nn.init.zeros_(correction.bias)

    def fit_features(self, arrays: FlowArrays) -> None:
        """Take the shift and scale of every feature from a sample of the training data.

        Args:
            arrays: Some hundred deployments.
        """
        with torch.no_grad():
            features = self.features(arrays)
            self.step_encoder.fit(features.step)
            self.device_encoder.fit(features.device)
            self.flow_encoder.fit(features.flow)

    def forward(self, arrays: FlowArrays) -> Prediction:
        """Predict the measures of a batch.

        Args:
            arrays: The deployments.

        Returns:
            Measures inside their physical range.
        """
        return self.predict(arrays, self.features(arrays))

    def predict(self, arrays: FlowArrays, features: Features) -> Prediction:
        """Predict from features that are already there.

        Args:
            arrays: The deployments.
            features: Their features.

        Returns:
            Measures inside their physical range.
        """
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
        correction = self.head(
            torch.cat([step, arrays.at_steps(device), arrays.of_flows(flow)], dim=-1)
        )
        return read_out(arrays, features.prior, correction, self.law_head(flow))
