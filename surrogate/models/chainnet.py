"""A ChainNet-style graph network: recurrence along flows, attention at devices, bounded read-out.

References:
    Niu, Roveri and Casale, ChainNet: A customized graph neural network model for loss-aware edge AI
    service deployment, DSN 2024 (the alternation of chain recurrence, fragment and device updates).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from datagen.errors import require
from surrogate.features.arrays import FlowArrays
from surrogate.features.companion_features import COMPANION_FEATURES
from surrogate.features.features import Features
from surrogate.models.activations import tanh
from surrogate.models.attention import DeviceAttention
from surrogate.models.network import (
    DeploymentNetwork,
    Standardised,
    States,
    correction_head,
    law_head,
)

__all__ = ["ChainNet"]


class _GatedUpdate(nn.Module):
    """A state moves towards a candidate as far as its gate opens.

    That is a gated recurrent unit without its reset gate, after Zhou, Wu, Zhang and Zhou, Minimal
    gated unit for recurrent neural networks, 2016: as accurate here at two thirds of the cost.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.both = nn.Linear(inputs + hidden, 2 * hidden)

    def forward(self, *heard: Tensor, state: Tensor, push: Tensor | None = None) -> Tensor:
        both = self.both(torch.cat([*heard, state], dim=-1))  # [..., 2 H]
        gate, candidate = (both if push is None else both + push).chunk(2, dim=-1)
        return torch.lerp(state, tanh(candidate), torch.sigmoid(gate))


def _gated_recurrence(heard: Tensor, own: Tensor, state: Tensor) -> Tensor:
    """Return the next state of a gated recurrent unit, as ``torch.nn.GRU`` defines it [P, H].

    PyTorch's own loop over a packed sequence splits and copies what the gates hear and takes its
    slow tanh; going step by step here takes an eighth off the whole network's time.

    Args:
        heard: Reset gate, update gate and candidate, from the input [P, 3 H].
        own: The same from the state [P, 3 H].
        state: States before the step [P, H].
    """
    width = state.shape[1]
    reset, update = (heard[:, : 2 * width] + own[:, : 2 * width]).sigmoid().chunk(2, dim=-1)
    candidate = tanh(torch.addcmul(heard[:, 2 * width :], reset, own[:, 2 * width :]))
    return torch.lerp(candidate, state, update)


class _CompanionMessages(nn.Module):
    """What a step hears from its companions: steps here whose flows met its own flow before.

    Attention at the device weighs all of its steps alike for everybody; this is told pair by pair.
    Fresh weights say nothing, so that a network may learn to listen after it has learned the rest.

    Args:
        hidden: Width of all states.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.encoder = Standardised(len(COMPANION_FEATURES), hidden)
        self.message = nn.Linear(3 * hidden, hidden)
        self.push = nn.Linear(hidden, 2 * hidden, bias=False)
        nn.init.zeros_(self.push.weight)

    def forward(self, arrays: FlowArrays, told: Tensor, step: Tensor) -> Tensor:
        """Add up the messages.

        Args:
            arrays: The deployments.
            told: Encoded features of the pairs [Q, H].
            step: States of the steps [S, H].

        Returns:
            What pushes the gates and candidates of the steps [S, 2 H].
        """
        pairs = arrays.companions
        both = [step.index_select(0, of) for of in (pairs.step, pairs.companion)]
        message = nn.functional.silu(self.message(torch.cat([*both, told], dim=-1)))  # [Q, H]
        push: Tensor = self.push(message)
        return push.new_zeros(step.shape[0], push.shape[1]).index_add(0, pairs.step, push)


class ChainNet(DeploymentNetwork):
    """Predicts the share passed and the sojourn of every step, and what follows from them.

    Args:
        hidden: Width of all states, even, >= 2.
        iterations: Rounds of message passing, >= 1; the weights are shared between them.
        groups: Feature groups it reads beside the plain features.
        companions: Whether steps hear from their companions, see
            :mod:`surrogate.features.companions`.
        quick_jobs: Whether it says how latencies below the median scatter, apart from those above:
            for attained deadlines.
    """

    def __init__(
        self,
        hidden: int = 48,
        iterations: int = 2,
        groups: Sequence[str] = (),
        companions: bool = False,
        quick_jobs: bool = False,
    ) -> None:
        super().__init__(hidden, groups, companions=companions, quick_jobs=quick_jobs)
        require(iterations >= 1, "iterations", "be >= 1", iterations)
        self.settings["iterations"] = iterations
        self.iterations = iterations
        self.recurrence = nn.GRU(2 * hidden, hidden)
        self.attention = DeviceAttention(2 * hidden, hidden)
        self.companions = _CompanionMessages(hidden) if companions else None
        self.device_update = _GatedUpdate(hidden, hidden)
        self.step_update = _GatedUpdate(2 * hidden, hidden)
        self.head = correction_head(3 * hidden, hidden)
        self.law_head = law_head(hidden, self.law_numbers, self.join_numbers)

    def fit_encoders(self, features: Features) -> None:
        super().fit_encoders(features)
        # A sample in which no flows ever meet twice says nothing of companions.
        if self.companions is not None and len(features.companion):
            self.companions.encoder.fit(features.companion)

    def states(self, arrays: FlowArrays, features: Features) -> States:
        step = self.step_encoder(features.step)  # [S, H]
        device = self.device_encoder(features.device)  # [D, H]
        flow = self.flow_encoder(features.flow)  # [P, H], longest first
        pairs = self.companions
        told = None if pairs is None else pairs.encoder(features.companion)  # [Q, H]
        for _ in range(self.iterations):
            met = torch.cat([step, arrays.at_steps(device)], dim=-1)
            passed, flow = self.along_flows(arrays, met, flow)
            messages = torch.cat([passed, step], dim=-1)
            heard = self.attention(messages, arrays.step_device, arrays.devices)
            device = self.device_update(heard, state=device)
            push = None if pairs is None else pairs(arrays, told, step)
            step = self.step_update(passed, arrays.at_steps(device), state=step, push=push)
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
        of_input, of_state, input_bias, state_bias = self.recurrence.all_weights[0]
        # The gates of all steps at once; only what depends on the state goes step by step.
        heard = nn.functional.linear(met, of_input, input_bias)  # [S, 3 H]
        sizes = arrays.flow_sizes.tolist()
        states: list[Tensor] = []
        for here in torch.split(heard, sizes):
            flow = flow[: len(here)]
            own = nn.functional.linear(flow, of_state, state_bias)
            flow = _gated_recurrence(here, own, flow)
            states.append(flow)
        following = [*sizes[1:], 0]
        ended = [state[rest:] for state, rest in zip(states, following, strict=True)]
        return torch.cat(states), torch.cat(ended[::-1])
