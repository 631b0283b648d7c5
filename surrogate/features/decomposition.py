"""A few rounds of the queueing decomposition in torch: the analytic prior of every feature.

Each device is treated as an M/G/c/K queue fed by what its upstream devices let pass; loads and
losses are iterated to a fixed point. It is wrong where streams are far from Poisson, which is what
the network has to learn; where they are not, it is nearly exact and leaves little to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from surrogate.features.arrays import FlowArrays
from surrogate.features.queue import QueueFormula

__all__ = ["Decomposition", "Prior"]

ROUNDS = 8
"""Damped rounds; more change the features by less than the noise of the labels."""

DAMPING = 0.6
"""Weight of the newest round."""

TINY = 1e-12
"""Keeps idle devices away from 0/0."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What the decomposition says.

    Args:
        step_rate: Arrival rate at each step after upstream losses [1/s] [S].
        offered: Load of each device without any loss [D].
        load: Load of each device after upstream losses [D].
        loss: Loss probability at each device [D].
        waiting: Mean number of waiting jobs at each device [D].
        wait: Mean wait of an admitted job at each device [s] [D].
        mean: Mean service time of the device's mix [s] [D].
        scv: SCV of the service time of the device's mix [D].
        capacity: Jobs the device holds, at the mix's mean demand [D].
    """

    step_rate: Tensor
    offered: Tensor
    load: Tensor
    loss: Tensor
    waiting: Tensor
    wait: Tensor
    mean: Tensor
    scv: Tensor
    capacity: Tensor


class Decomposition(nn.Module):
    """Fixed point of thinning and M/G/c/K losses."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = QueueFormula()

    def forward(self, arrays: FlowArrays) -> Prior:
        """Iterate.

        Args:
            arrays: The deployments.

        Returns:
            The prior; it carries gradients to rates and service moments.
        """
        offered_rate = arrays.flow_rate[arrays.step_flow]
        rate = offered_rate
        loss = torch.zeros_like(arrays.device_capacity)
        offered = None
        for round_ in range(ROUNDS):
            mix = self._mix(arrays, rate)
            offered = mix["load"] if offered is None else offered
            newest, waiting = self.queue(
                mix["load"], mix["scv"], mix["capacity"], arrays.device_servers
            )
            loss = newest if round_ == 0 else loss + DAMPING * (newest - loss)
            passed = (1.0 - loss)[arrays.step_device]
            rate = offered_rate * arrays.running_product(passed)
        assert offered is not None
        accepted = arrays.sum_to_devices(rate) * (1.0 - loss)
        return Prior(
            step_rate=rate,
            offered=offered,
            loss=loss,
            waiting=waiting,
            wait=waiting / accepted.clamp_min(TINY),
            **mix,
        )

    @staticmethod
    def _mix(arrays: FlowArrays, rate: Tensor) -> dict[str, Tensor]:
        """Moments of the jobs that arrive at each device, weighted by rate."""
        second = arrays.step_mean**2 * (1.0 + arrays.step_scv)
        columns = torch.stack(
            [rate, rate * arrays.step_mean, rate * second, rate * arrays.step_demand], dim=-1
        )
        total, work, square, units = arrays.sum_to_devices(columns).unbind(-1)
        total = total.clamp_min(TINY)
        mean = work / total
        scv = (square / total / (mean**2).clamp_min(TINY) - 1.0).clamp_min(0.0)
        demand = (units / total).clamp_min(1.0)
        return {
            "load": work / arrays.device_servers,
            "mean": mean,
            "scv": scv,
            "capacity": (arrays.device_capacity / demand).clamp_min(1.0),
        }
