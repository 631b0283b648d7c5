"""The fixed point of the decomposition, compiled: one deployment after the other.

What the rules mean and where they come from is told in :mod:`datagen.analytic.decomposition`; how
streams change between devices is computed in :mod:`datagen.analytic.stream_kernel`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from datagen.analytic.queue_kernel import Grid, loss_and_jobs_of, loss_of
from datagen.analytic.stream_kernel import (
    TINY,
    Devices,
    Flows,
    Steps,
    mix_arrivals,
    pass_variability_on,
    split_losses,
    sum_rates,
)
from datagen.compiled import compiled, inlined

__all__ = ["SMALLEST_SUM", "UNSETTLED", "Pacing", "settle"]

UNSETTLED = -1.0
"""A tolerance that no change meets: every round is done."""

STALLED = 0.9
"""Share of the change before that a round may not exceed without being calmed."""

SCV_WEIGHT = 0.05
"""What a change of a device's departures counts beside one of a passing share; it is the lesser."""

SMALLEST_SUM = 0.02
"""Smallest sum of both SCVs: a device fed at constant distances with constant service would need no
room at all, and its diffusion scale would be 0/0."""


LARGEST_WAITING = 1e6
"""Stands for the infinitely many that wait where an unlimited buffer is overloaded."""


class Pacing(NamedTuple):
    """How a deployment is brought to its fixed point.

    Args:
        rounds: Largest number of rounds.
        tolerance: Change of a round at which a deployment has settled; ``UNSETTLED`` for never.
        weight: Weight of new values, from the second round on, in (0, 1]; the first knows no older
            ones.
        calming: Factor on the weight after a round that changed as much as the one before, in
            (0, 1]; with 1 the weight stays, and values are smooth functions of their inputs.
    """

    rounds: int
    tolerance: float
    weight: float
    calming: float


@compiled
def settle(
    steps: Steps,
    flows: Flows,
    devices: Devices,
    grid: Grid,
    short_memory: float,
    pacing: Pacing,
) -> None:
    """Iterate the flows of every deployment, each at its own pace."""
    for deployment in range(steps.deployment_path.size - 1):
        paths = steps.deployment_path[deployment], steps.deployment_path[deployment + 1]
        steps_here = steps.path_step[paths[0]], steps.path_step[paths[1]]
        bounds = steps.deployment_device[deployment], steps.deployment_device[deployment + 1]
        for step in range(steps_here[0], steps_here[1]):
            flows.passed[step] = 1.0
        for device in range(bounds[0], bounds[1]):
            devices.departing[device] = devices.pace[device] = 1.0
            devices.forgotten[device] = 0.0
        weight, before = pacing.weight, math.inf
        for number in range(pacing.rounds):
            sum_rates(steps, flows, devices, paths, bounds)
            mix_arrivals(steps, flows, devices, steps_here)
            for device in range(bounds[0], bounds[1]):
                _serve(steps, devices, grid, device, short_memory)
            split_losses(steps, flows, devices, steps_here)
            gain = weight if number > 0 else 1.0
            change = _change(steps, flows, devices, steps_here, bounds, gain)
            if change <= pacing.tolerance:
                break
            if change > STALLED * before:
                weight *= pacing.calming
            before = change
        for device in range(bounds[0], bounds[1]):
            _hold(steps, devices, grid, device)
        _tell(steps, flows, devices, paths)


@inlined
def _serve(steps: Steps, devices: Devices, grid: Grid, device: int, short_memory: float) -> None:
    """Find loss and departures of one device from the mix of its arrivals."""
    servers = steps.servers[device]
    rate, work = max(devices.rate[device], TINY), devices.work[device]
    mean, load = work / rate, work / servers
    service_scv = 0.0
    if mean > 0.0:
        service_scv = max(devices.square[device] / rate / mean**2 - 1.0, 0.0)
    capacity = max(steps.capacity[device] / max(devices.units[device] / rate, 1.0), 1.0)
    both = _both_scvs(devices.scv[device], service_scv)
    loss = loss_of(load, both - 1.0, capacity, servers, grid)
    devices.loss[device] = loss * _rarer(load, devices.smooth[device], both)
    devices.mean[device], devices.service_scv[device] = mean, service_scv
    devices.room[device] = capacity
    pass_variability_on(devices, device, load, capacity, service_scv, short_memory)


@inlined
def _hold(steps: Steps, devices: Devices, grid: Grid, device: int) -> None:
    """Find the waiting jobs of one device, which no other device asks for: hence once, at last."""
    work = devices.work[device]
    load = work / steps.servers[device]
    both = _both_scvs(devices.scv[device], devices.service_scv[device])
    loss, jobs = loss_and_jobs_of(
        load, both - 1.0, devices.room[device], steps.servers[device], grid
    )
    waiting = min(max(jobs - work * (1.0 - loss), 0.0), LARGEST_WAITING)
    devices.waiting[device] = waiting * _rarer(load, devices.smooth[device], both)


@inlined
def _both_scvs(arrivals: float, service: float) -> float:
    return max(arrivals + service, SMALLEST_SUM)


@inlined
def _rarer(load: float, smooth: float, both: float) -> float:
    """Kraemer and Langenbach-Belz's factor on losses and waits behind smooth sources."""
    if smooth == 0.0:
        return 1.0
    idle = max(1.0 - load, 0.0)
    return math.exp(-2.0 * idle * smooth**2 / (3.0 * max(load, TINY) * both))


@inlined
def _change(
    steps: Steps,
    flows: Flows,
    devices: Devices,
    steps_here: tuple[int, int],
    bounds: tuple[int, int],
    gain: float,
) -> float:
    """Move the flows towards what the devices make of them; return by how much they differ."""
    largest = 0.0
    for step in range(steps_here[0], steps_here[1]):
        thinner = flows.accepted[step] - flows.passed[step]
        flows.passed[step] += gain * thinner
        largest = max(largest, abs(thinner))
    for device in range(bounds[0], bounds[1]):
        smoother = devices.found_departing[device] - devices.departing[device]
        shorter = devices.found_forgotten[device] - devices.forgotten[device]
        devices.departing[device] += gain * smoother
        devices.forgotten[device] += gain * shorter
        largest = max(largest, SCV_WEIGHT * abs(smoother), SCV_WEIGHT * abs(shorter))
    return largest


@inlined
def _tell(steps: Steps, flows: Flows, devices: Devices, paths: tuple[int, int]) -> None:
    """Tell what reaches each step, and its mean wait: by Little's law, and what spacing leaves."""
    for path in range(paths[0], paths[1]):
        through = 1.0
        for step in range(steps.path_step[path], steps.path_step[path + 1]):
            device = steps.device[step]
            admitted = max(devices.rate[device] * (1.0 - devices.loss[device]), TINY)
            flows.wait[step] = devices.waiting[device] / admitted * flows.remaining[step]
            flows.reaching[step] = steps.source_rate[step] * through
            through *= flows.accepted[step]
