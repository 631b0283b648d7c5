"""What the analytic prior says of each step and device, whoever computes it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from datagen.analytic.decomposition_kernel import UNSETTLED, Pacing

__all__ = ["PACING", "Prior"]

PACING = Pacing(rounds=8, tolerance=UNSETTLED, weight=0.7, calming=1.0)
"""Rounds and their weights, alike for every deployment and whoever computes the prior.

Against settled deployments the share that a step passes is off by 0.00005 on average (0.009 for one
in a thousand) on 1,024 of the public kind and by 0.00007 (0.013) on 384 placements; with 6 rounds
by 0.0002. Smaller weights come near more slowly; with larger ones some loops alternate.
"""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What the decomposition says.

    Args:
        step_rate: Arrival rate at each step after upstream losses [1/s] [S].
        step_arrival_scv: SCV of the times between a flow's own arrivals at each step [S].
        hop_arrival_scv: The same of all jobs that make the same hop [S].
        hop_share: Share of the previous device's jobs that make the hop; 0 at position 0 [S].
        hop_arrivals: Share of the device's arrivals that come by the hop; 0 at position 0 [S].
        step_spaced: Share of the wait of Poisson arrivals that spacing would take away at low load,
            in [0, 1] [S].
        step_remaining: Share of the device's wait that remains after spacing, in [0, 1] [S].
        step_loss: Loss probability of a flow's jobs at each step [S].
        step_wait: Mean wait of an admitted job at each step [s] [S].
        arrival_scv: SCV of the times between all arrivals at each device, as it feels them [D].
        lasting_scv: The same over long times [D].
        departing_scv: SCV of the times between departures of each device over long times [D].
        forgotten: What a successor that looks no further back than the device misses of it [D].
        pace: Inverse of the number of jobs over which the device evens out arrivals [D].
        elasticity: Relative increase of a device's throughput per increase of its load, in
            [0, 1] [D].
        offered: Load of each device without any loss [D].
        load: Load of each device after upstream losses [D].
        loss: Loss probability at each device, as if all its arrivals were alike [D].
        waiting: Mean number of waiting jobs at each device, likewise [D].
        mean: Mean service time of the device's mix [s] [D].
        scv: SCV of the service time of the device's mix [D].
        capacity: Jobs the device holds, at the mix's mean demand [D].
        unbounded: Devices whose mean wait has no known upper bound though their buffer is finite,
            as those that wait for batches [D]; None where there are none.
    """

    step_rate: Tensor
    step_arrival_scv: Tensor
    hop_arrival_scv: Tensor
    hop_share: Tensor
    hop_arrivals: Tensor
    step_spaced: Tensor
    step_remaining: Tensor
    step_loss: Tensor
    step_wait: Tensor
    arrival_scv: Tensor
    lasting_scv: Tensor
    departing_scv: Tensor
    forgotten: Tensor
    pace: Tensor
    elasticity: Tensor
    offered: Tensor
    load: Tensor
    loss: Tensor
    waiting: Tensor
    mean: Tensor
    scv: Tensor
    capacity: Tensor
    unbounded: Tensor | None = None
