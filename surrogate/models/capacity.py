"""No device is busy for more than all of its time: what it cannot serve, it loses.

A network may learn that by example, and still forget it where a device is unlike all it has seen.
"""

from __future__ import annotations

import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays

__all__ = ["within_capacity"]

ROUNDS = 3
"""Devices that lose more leave less to those behind them. The first round expects too much behind
others, the second too little, and so on in turns: after an odd number nobody works overtime."""


def within_capacity(arrays: FlowArrays, log_passed: Tensor, free: Tensor | None = None) -> Tensor:
    """Lower the shares that pass until no device serves more than its servers can.

    Args:
        arrays: The deployments.
        log_passed: Logarithm of the share of jobs that each step passes, <= 0 [S].
        free: Devices that this does not hold for, since their jobs share their time [D]; None where
            there are none.

    Returns:
        Logarithms of shares, none larger than before [S].
    """
    passed = log_passed.exp()
    limited = torch.isfinite(arrays.device_capacity)
    if free is not None:
        limited = limited & ~free
    rate = arrays.of_flows(arrays.flow_rate)
    work = arrays.step_mean / arrays.at_steps(arrays.device_servers)
    found = log_passed
    for _ in range(ROUNDS):
        coming = rate * arrays.running_product(found.exp())
        busy = arrays.sum_to_devices(coming * passed * work)
        excess = torch.where(limited, busy.clamp_min(1.0).log(), 0.0)
        found = log_passed - arrays.at_steps(excess)
    return found
