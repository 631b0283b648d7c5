"""What every network for deployments has: encoders of the features, and who computes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from datagen.errors import require
from surrogate.features.arrays import FlowArrays
from surrogate.features.features import FeatureFunction, Features
from surrogate.features.groups import feature_groups
from surrogate.models.latency_law import LEVELS
from surrogate.models.readout import Prediction, read_out

__all__ = ["DeploymentNetwork", "Standardised", "States", "correction_head", "law_head"]

States = tuple[Tensor, Tensor, Tensor]
"""States of steps [S, H], devices [D, H] and flows [P, H]."""


class Standardised(nn.Module):
    """Encoder of raw features: fixed shift and scale, then one hidden layer.

    Args:
        inputs: Number of features.
        hidden: Width of the result.
    """

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
        """Take shift and scale from a sample; constant features stay as they are.

        Args:
            values: Features of the sample [N, inputs].
        """
        std = values.std(dim=0, correction=0)
        self.mean.copy_(values.mean(dim=0))
        self.std.copy_(torch.where(std > 1e-4, std, torch.ones_like(std)))

    def forward(self, values: Tensor) -> Tensor:
        return self.layers((values - self.mean) / self.std)  # type: ignore[no-any-return]


def correction_head(inputs: int, hidden: int) -> nn.Sequential:
    """Return the last layers: from the state of a step to the corrections of its prior.

    Args:
        inputs: Width of the state.
        hidden: Half the width in between.

    Returns:
        Layers [S, inputs] -> [S, 2]; fresh ones correct nothing, so that training starts from the
        prior.
    """
    inner, correction = nn.Linear(inputs, 2 * hidden), nn.Linear(2 * hidden, 2)
    nn.init.zeros_(correction.weight)
    nn.init.zeros_(correction.bias)
    return nn.Sequential(inner, nn.SiLU(), correction)


def law_head(hidden: int, numbers: int = len(LEVELS)) -> nn.Sequential:
    """Return the layers from the state of a flow to the quantiles of its latency.

    Args:
        hidden: Width of the state.
        numbers: How many numbers tell the law.

    Returns:
        Layers [P, hidden] -> [P, numbers].
    """
    return nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, numbers))


class DeploymentNetwork(nn.Module, ABC):
    """Predicts the measures of deployments from the features of steps, devices and flows.

    ``settings`` holds the arguments it was made with; ``scaled`` says whether it already knows the
    scale of its features, from a sample or from a checkpoint. A subclass makes the layers between
    the encoders and the heads, and then the heads.

    Args:
        hidden: Width of all states, even, >= 2.
        groups: Names of the feature groups it reads beside the plain features, see
            :data:`surrogate.features.groups.GROUPS`.
    """

    head: nn.Module
    law_head: nn.Module

    def __init__(self, hidden: int, groups: Sequence[str] = ()) -> None:
        super().__init__()
        require(hidden >= 2 and hidden % 2 == 0, "hidden", "be even and >= 2", hidden)
        self.settings: dict[str, Any] = {"hidden": hidden}
        if groups:  # checkpoints of networks without groups need not name them
            self.settings["groups"] = list(groups)
        self.scaled = False
        self.features = FeatureFunction(feature_groups(groups))
        names = self.features.names
        self.step_encoder = Standardised(len(names.step), hidden)
        self.device_encoder = Standardised(len(names.device), hidden)
        self.flow_encoder = Standardised(len(names.flow), hidden)

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
        self.scaled = True

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
        step, device, flow = self.states(arrays, features)
        of_step = torch.cat([step, arrays.at_steps(device), arrays.of_flows(flow)], dim=-1)
        return read_out(arrays, features.prior, self.head(of_step), self.law_head(flow))

    @abstractmethod
    def states(self, arrays: FlowArrays, features: Features) -> States:
        """Say what is known of steps, devices and flows once messages have been passed.

        Args:
            arrays: The deployments.
            features: Their features.

        Returns:
            States of steps [S, H], devices [D, H] and flows [P, H].
        """
