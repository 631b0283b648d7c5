"""Attention of a device over the steps it hosts, without a sort or a maximum per device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from surrogate.models.activations import tanh

__all__ = ["DeviceAttention"]

LOGIT_BOUND = 4.0
"""Logits are squashed into (-4, 4): the softmax then needs no per-device maximum, and no step is
ever weighted more than e**8 times another."""


class DeviceAttention(nn.Module):
    """Weighted mean of step messages per device, by several heads.

    Args:
        inputs: Width of a message's input.
        hidden: Width of the result, a multiple of ``heads``.
        heads: Number of attention heads.
    """

    def __init__(self, inputs: int, hidden: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.message = nn.Linear(inputs, hidden + heads)

    def forward(self, step: Tensor, device_of_step: Tensor, devices: int) -> Tensor:
        """Attend.

        Args:
            step: Inputs of the messages [S, inputs].
            device_of_step: Device row of each step [S].
            devices: Number of devices, D.

        Returns:
            One vector per device [D, hidden]; zero where no step is hosted.
        """
        weights, bias = self.message.weight, self.message.bias
        values = nn.functional.linear(step, weights[: -self.heads], bias[: -self.heads])  # [S, H]
        logits = nn.functional.linear(step, weights[-self.heads :], bias[-self.heads :])
        weight = torch.exp(LOGIT_BOUND * tanh(logits / LOGIT_BOUND))  # [S, heads]
        values = self._by_head(values) * weight.unsqueeze(-1)
        both = torch.cat([values.flatten(1), weight], dim=-1)
        total = both.new_zeros(devices, both.shape[1]).index_add(0, device_of_step, both)
        summed, weights = total[:, : -self.heads], total[:, -self.heads :]
        tiny = torch.finfo(weights.dtype).tiny
        mean = self._by_head(summed) / weights.clamp_min(tiny).unsqueeze(-1)
        return mean.flatten(1)

    def _by_head(self, values: Tensor) -> Tensor:
        return values.reshape(values.shape[0], self.heads, -1)
