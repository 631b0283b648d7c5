"""The chain surrogate with one of its parts switched off, for :mod:`ablation` only.

Each network is :class:`~surrogate.models.ChainNet` but for what its name says, so that a part that
is changed there is changed here.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from surrogate.features.arrays import FlowArrays
from surrogate.features.features import (
    DEVICE_FEATURES,
    FLOW_FEATURES,
    STEP_FEATURES,
    Features,
)
from surrogate.features.prior import Prior
from surrogate.models import ChainNet, Prediction
from surrogate.models.readout import read_out

__all__ = [
    "DECOMPOSITION_WORDS",
    "DeviceMean",
    "FromScratch",
    "MeanOfSteps",
    "NoDecompositionFeatures",
    "NoPriorBase",
    "PlainReadOut",
]

BLANK_LOSS = 0.05
"""Loss that a network without a prior starts from at every step; its wait starts at one service."""

DECOMPOSITION_WORDS = (
    "by the prior",
    "after upstream losses",
    "after spacing",
    "spacing takes",
    "saturated flows",
    "capacity x log load",
    "pace",
    "variability that the previous",
)
"""What names of features hold that only the decomposition can tell. Shares of a device's load and
arrivals stay: the published network has them, too, and upstream losses change them little."""


def without_prior(arrays: FlowArrays, prior: Prior) -> Prior:
    """Return a prior that says the same of every step."""
    loss = torch.full_like(prior.step_loss, BLANK_LOSS)
    return replace(prior, step_loss=loss, step_wait=arrays.step_mean)


def _known_without(names: tuple[str, ...], values: Tensor) -> Tensor:
    kept = [not any(word in name for word in DECOMPOSITION_WORDS) for name in names]
    return torch.where(torch.tensor(kept, device=values.device), values, 0.0)


def without_decomposition(features: Features) -> Features:
    """Return the features with a constant in place of what the decomposition tells."""
    return replace(
        features,
        step=_known_without(STEP_FEATURES, features.step),
        device=_known_without(DEVICE_FEATURES, features.device),
        flow=_known_without(FLOW_FEATURES, features.flow),
    )


class NoPriorBase(ChainNet):
    """Reads the prior among its features, but predicts losses and waits rather than corrections."""

    def predict(self, arrays: FlowArrays, features: Features) -> Prediction:
        blank = without_prior(arrays, features.prior)
        return super().predict(arrays, replace(features, prior=blank))


class NoDecompositionFeatures(ChainNet):
    """Corrects the prior without seeing it, from loads, shares, capacities and services alone."""

    def predict(self, arrays: FlowArrays, features: Features) -> Prediction:
        return super().predict(arrays, without_decomposition(features))


class FromScratch(NoPriorBase):
    """Neither sees the prior nor corrects it: the graph network alone."""

    def predict(self, arrays: FlowArrays, features: Features) -> Prediction:
        return super().predict(arrays, without_decomposition(features))


class DeviceMean(nn.Module):
    """Plain mean of step messages per device, in the place of attention.

    Args:
        inputs: Width of a message's input.
        hidden: Width of the result.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.message = nn.Linear(inputs, hidden)

    def forward(self, step: Tensor, device_of_step: Tensor, devices: int) -> Tensor:
        """Average.

        Args:
            step: Inputs of the messages [S, inputs].
            device_of_step: Device row of each step [S].
            devices: Number of devices, D.

        Returns:
            One vector per device [D, hidden]; zero where no step is hosted.
        """
        message = self.message(step)
        total = message.new_zeros(devices, message.shape[1]).index_add(0, device_of_step, message)
        steps = torch.bincount(device_of_step, minlength=devices).clamp_min(1)
        return total / steps.unsqueeze(-1)


class MeanOfSteps(ChainNet):
    """Devices hear the mean of their steps.

    Args:
        hidden: Width of all states, even, >= 2.
        iterations: Rounds of message passing, >= 1.
    """

    def __init__(self, hidden: int = 48, iterations: int = 2) -> None:
        super().__init__(hidden, iterations)
        self.attention = DeviceMean(2 * hidden, hidden)


class PlainReadOut(ChainNet):
    """Two numbers per chain through a sigmoid, from the mean of its steps: no structure, no prior.

    For chains of one path, as the training data have them.
    """

    def predict(self, arrays: FlowArrays, features: Features) -> Prediction:
        step, device, flow = self.states(arrays, features)
        by_step = self.head(
            torch.cat([step, arrays.at_steps(device), arrays.of_flows(flow)], dim=-1)
        )
        structured = read_out(arrays, features.prior, by_step, self.law_head(flow))
        of_flows = torch.stack([arrays.sum_to_flows(part) for part in by_step.unbind(-1)], dim=-1)
        ratios = (of_flows / arrays.flow_length.unsqueeze(-1))[arrays.flow_chain.argsort()]
        latency_ratio = torch.sigmoid(ratios[:, 1])
        unloaded = structured.latency_ratio * structured.latency
        return replace(
            structured,
            log_throughput_ratio=nn.functional.logsigmoid(ratios[:, 0]),
            latency_ratio=latency_ratio,
            latency=unloaded / latency_ratio,
        )
