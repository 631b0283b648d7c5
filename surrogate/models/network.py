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
from surrogate.models.activations import Tanh
from surrogate.models.joining import JOIN_OUTPUTS
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
        self.known = 0
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), Tanh()
        )

    def fit(self, values: Tensor) -> None:
        """Take shift and scale from a sample; constant features stay as they are.

        Args:
            values: Features of the sample [N, inputs].
        """
        std = values.std(dim=0, correction=0)
        first = self.known  # earlier columns keep the scale they came with
        self.mean[first:] = values.mean(dim=0)[first:]
        self.std[first:] = torch.where(std > 1e-4, std, torch.ones_like(std))[first:]

    def extend(self, weights: dict[str, Tensor]) -> None:
        """Take over the weights of an encoder of fewer features, which come first.

        The further ones change nothing yet, and are the only ones whose scale :meth:`fit` takes.

        Args:
            weights: State of the other encoder, of the same width.
        """
        self.known = len(weights["mean"])
        own = self.state_dict()
        own["layers.0.weight"].zero_()
        for name, values in weights.items():
            own[name][..., : values.shape[-1]] = values
        self.load_state_dict(own)

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


def law_head(hidden: int, laws: int = len(LEVELS), joins: int = 0) -> nn.Sequential:
    """Return the layers from the state of a flow to the quantiles of its latency, and its join.

    Args:
        hidden: Width of the state.
        laws: Numbers that tell the law.
        joins: Numbers that tell how branches join; fresh layers leave them at 0.

    Returns:
        Layers [P, hidden] -> [P, laws + joins].
    """
    told = nn.Linear(hidden, laws + joins)
    nn.init.zeros_(told.weight[laws:])
    nn.init.zeros_(told.bias[laws:])
    return nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), told)


class DeploymentNetwork(nn.Module, ABC):
    """Predicts the measures of deployments from the features of steps, devices and flows.

    ``settings`` holds the arguments it was made with; ``law_numbers`` and ``join_numbers`` say how
    many outputs of the law head tell latencies, and how branches join; ``scaled`` says whether it
    already knows the scale of its features, from a sample or from a checkpoint; ``holds`` says
    whether devices lose what they cannot serve, once it is trained. A subclass makes the layers
    between the encoders and the heads, and then the heads.

    Args:
        hidden: Width of all states, even, >= 2.
        groups: Names of the feature groups it reads beside the plain features, see
            :data:`surrogate.features.groups.GROUPS`.
        companions: Whether it reads pairs of companions, too.
        quick_jobs: Whether the law of latencies has a shape of its own below the median.
    """

    head: nn.Module
    law_head: nn.Module

    def __init__(
        self,
        hidden: int,
        groups: Sequence[str] = (),
        *,
        companions: bool = False,
        quick_jobs: bool = False,
    ) -> None:
        super().__init__()
        require(hidden >= 2 and hidden % 2 == 0, "hidden", "be even and >= 2", hidden)
        self.settings: dict[str, Any] = {"hidden": hidden}
        # Checkpoints of networks without need not say so.
        if groups:
            self.settings["groups"] = list(groups)
        if companions:
            self.settings["companions"] = True
        if quick_jobs:
            self.settings["quick_jobs"] = True
        self.scaled = False
        self.features = FeatureFunction(feature_groups(groups), companions=companions)
        self.holds = any(group.holds for group in self.features.groups)
        self.law_numbers = len(LEVELS) + quick_jobs
        joins = any(group.joins for group in self.features.groups)
        self.join_numbers = JOIN_OUTPUTS if joins else 0
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
            self.fit_encoders(self.features(arrays))
        self.scaled = True

    def fit_encoders(self, features: Features) -> None:
        """Take the shift and scale of every feature from those of a sample.

        Args:
            features: Of the sample.
        """
        self.step_encoder.fit(features.step)
        self.device_encoder.fit(features.device)
        self.flow_encoder.fit(features.flow)

    def extend(self, known: DeploymentNetwork) -> None:
        """Take over what a network of the same width learned that reads less than this one.

        What this one reads beyond that changes nothing yet: the columns of further features have no
        weight, fresh layers for companions say nothing, and further outputs are 0.

        Args:
            known: The other network.

        Raises:
            ValueError: If it has weights that this one has no place for.
        """
        weights = known.state_dict()
        for name, module in self.named_modules():
            if isinstance(module, Standardised):
                own = [key for key in weights if key.startswith(f"{name}.")]
                if own:
                    module.extend({key[len(name) + 1 :]: weights.pop(key) for key in own})
        for name, room in self.state_dict().items():
            if name in weights and room.shape != weights[name].shape:
                values = weights[name]
                weights[name] = torch.zeros_like(room)
                weights[name][tuple(slice(size) for size in values.shape)] = values
        unknown = self.load_state_dict(weights, strict=False).unexpected_keys
        if unknown:
            raise ValueError(f"known must have weights of this network only, got {unknown}.")

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
        told = self.law_head(flow)
        law, join = told[:, : self.law_numbers], told[:, self.law_numbers :]
        joining = join if join.shape[1] else None
        # While it learns, a network is to see by how much it is wrong.
        held = self.holds and not self.training
        return read_out(arrays, features.prior, self.head(of_step), law, joining, held=held)

    @abstractmethod
    def states(self, arrays: FlowArrays, features: Features) -> States:
        """Say what is known of steps, devices and flows once messages have been passed.

        Args:
            arrays: The deployments.
            features: Their features.

        Returns:
            States of steps [S, H], devices [D, H] and flows [P, H].
        """
