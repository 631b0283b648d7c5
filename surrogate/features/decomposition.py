"""A few rounds of the queueing decomposition in torch: the analytic prior of every feature.

Each device is treated as an M/G/c/K queue fed by what its upstream devices let pass; loads and
losses are iterated to a fixed point, and with them the variability of the streams: a busy device
with constant service turns any stream into a near-periodic one. Where streams stay close to Poisson
the result is nearly exact; the rest is what the network has to learn.

References:
    Whitt, The queueing network analyzer, Bell System Technical Journal 62 (1983): variability of
    departures, splits and superpositions.
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

MIN_VARIABILITY = -0.5
"""Smallest sum of both SCVs less 1 that the queue formula is asked for. The propagated SCVs are
rough, and a queue predicted to be all but deterministic is off by more than one predicted too
random."""

TINY = 1e-12
"""Keeps idle devices away from 0/0."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What the decomposition says.

    Args:
        step_rate: Arrival rate at each step after upstream losses [1/s] [S].
        step_arrival_scv: SCV of the times between a flow's arrivals at each step [S].
        arrival_scv: SCV of the times between all arrivals at each device [D].
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
    step_arrival_scv: Tensor
    arrival_scv: Tensor
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
        external_scv = arrays.chain_scv[arrays.flow_chain[arrays.step_flow]]
        rate = offered_rate
        step_scv = torch.where(arrays.step_position == 0, external_scv, 1.0)
        loss = torch.zeros_like(arrays.device_capacity)
        offered = None
        for round_ in range(ROUNDS):
            mix = self._mix(arrays, rate, step_scv)
            offered = mix["load"] if offered is None else offered
            variability = (mix["arrival_scv"] + mix["scv"] - 1.0).clamp_min(MIN_VARIABILITY)
            newest, waiting = self.queue(
                mix["load"], variability, mix["capacity"], arrays.device_servers
            )
            loss = newest if round_ == 0 else loss + DAMPING * (newest - loss)
            step_scv = self._next_scv(arrays, mix, rate, external_scv)
            passed = (1.0 - loss)[arrays.step_device]
            rate = offered_rate * arrays.running_product(passed)
        assert offered is not None
        accepted = arrays.sum_to_devices(rate) * (1.0 - loss)
        return Prior(
            step_rate=rate,
            step_arrival_scv=step_scv,
            offered=offered,
            loss=loss,
            waiting=waiting,
            wait=waiting / accepted.clamp_min(TINY),
            **mix,
        )

    @staticmethod
    def _mix(arrays: FlowArrays, rate: Tensor, step_scv: Tensor) -> dict[str, Tensor]:
        """Moments of the jobs that arrive at each device, weighted by rate."""
        second = arrays.step_mean**2 * (1.0 + arrays.step_scv)
        columns = torch.stack(
            [
                rate,
                rate * arrays.step_mean,
                rate * second,
                rate * arrays.step_demand,
                rate * step_scv,
            ],
            dim=-1,
        )
        total, work, square, units, varied = arrays.sum_to_devices(columns).unbind(-1)
        total = total.clamp_min(TINY)
        mean = work / total
        scv = (square / total / (mean**2).clamp_min(TINY) - 1.0).clamp_min(0.0)
        demand = (units / total).clamp_min(1.0)
        # An infinite capacity over a demand would have a gradient of NaN.
        limited = torch.isfinite(arrays.device_capacity)
        units_held = torch.where(limited, arrays.device_capacity, 1.0)
        return {
            "load": work / arrays.device_servers,
            "mean": mean,
            "scv": scv,
            "capacity": torch.where(limited, (units_held / demand).clamp_min(1.0), torch.inf),
            "arrival_scv": varied / total,
        }

    @staticmethod
    def _next_scv(
        arrays: FlowArrays, mix: dict[str, Tensor], rate: Tensor, external_scv: Tensor
    ) -> Tensor:
        """SCV of each flow's stream as it comes from the previous device [S].

        A device of load a emits a mix of its service (weight a^2) and of its arrivals; a flow takes
        a random share p of that stream, with SCV 1 + p (SCV - 1).
        """
        busy = mix["load"].clamp_max(1.0) ** 2
        departures = busy * mix["scv"] + (1.0 - busy) * mix["arrival_scv"]
        device = arrays.step_device
        share = rate / arrays.sum_to_devices(rate).clamp_min(TINY)[device]
        split = 1.0 + share * (departures[device] - 1.0)
        return torch.where(arrays.step_position == 0, external_scv, split[arrays.step_previous])
