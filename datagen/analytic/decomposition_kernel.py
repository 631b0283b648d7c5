"""The fixed point of the analytic evaluator, compiled: one deployment after the other.

What the rules mean and where they come from is told in :mod:`datagen.analytic.decomposition`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.analytic.queue_kernel import Grid, loss_and_jobs_of
from datagen.compiled import compiled, inlined

__all__ = ["Devices", "Flows", "Steps", "settle"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STALLED = 0.9
"""Share of the change before that a round may not exceed without being calmed."""

CALMING = 0.6
"""Factor on the weight of new values then: without it, two devices that feed each other may
alternate for ever."""

SCV_WEIGHT = 0.05
"""What a change of a flow's variability counts beside one of a passing share; it is the lesser."""

SMALLEST_SUM = 0.02
"""Smallest sum of both SCVs: a device fed at constant distances with constant service would need no
room at all, and its diffusion scale would be 0/0."""

ALONE = 0.999
"""Share of a device's arrivals from which a stream is taken to be alone there."""

_TINY = 1e-300
"""Keeps idle devices, which nothing reaches, away from 0/0."""


class Steps(NamedTuple):
    """What does not change between the rounds, by step [S] unless said otherwise.

    Args:
        deployment_path: First path of each deployment, and the end [B + 1].
        path_step: First step of each path, and the end [P + 1].
        deployment_device: First device of each deployment, and the end [B + 1].
        device: Row of the device.
        source_rate: Rate of the path's jobs before any loss [1/s].
        source_scv: SCV of the path's external arrivals.
        mean: Mean service time [s].
        scv: SCV of the service time.
        demand: Units that a job takes.
        servers: Servers of each device [D].
        capacity: Units of each device, infinite where unlimited [D].
    """

    deployment_path: Ints
    path_step: Ints
    deployment_device: Ints
    device: Ints
    source_rate: Floats
    source_scv: Floats
    mean: Floats
    scv: Floats
    demand: Floats
    servers: Floats
    capacity: Floats


class Flows(NamedTuple):
    """What is iterated, by step [S].

    Args:
        rate: Rate of the arrivals [1/s].
        scv: SCV of the times between them.
        passed: Share of them that is accepted, as the round assumed it.
        accepted: The same, as the round found it.
    """

    rate: Floats
    scv: Floats
    passed: Floats
    accepted: Floats


class Devices(NamedTuple):
    """Sums over the steps of each device, and what its queue does [D].

    Args:
        rate: Rate of the arrivals [1/s].
        work: Servers that they would keep busy.
        square: Their rate times second moment of service [s].
        units: Their rate times demand [1/s].
        herfindahl: Sum of the squared shares of the streams.
        scv: SCV of the mixed arrivals.
        spaced: What earlier service takes off that SCV.
        loss: Loss probability.
        jobs: Mean jobs.
        departing: SCV of the departures.
    """

    rate: Floats
    work: Floats
    square: Floats
    units: Floats
    herfindahl: Floats
    scv: Floats
    spaced: Floats
    loss: Floats
    jobs: Floats
    departing: Floats


@compiled
def settle(
    steps: Steps, flows: Flows, devices: Devices, grid: Grid, rounds: int, tolerance: float
) -> None:
    """Iterate the flows of every deployment until they settle, each at its own pace."""
    for deployment in range(steps.deployment_path.size - 1):
        paths = steps.deployment_path[deployment], steps.deployment_path[deployment + 1]
        first, last = steps.path_step[paths[0]], steps.path_step[paths[1]]
        bounds = steps.deployment_device[deployment], steps.deployment_device[deployment + 1]
        for step in range(first, last):
            flows.passed[step] = 1.0
            flows.scv[step] = steps.source_scv[step]
        for device in range(bounds[0], bounds[1]):
            devices.loss[device] = 0.0
        gain, before = 1.0, math.inf
        for _ in range(rounds):
            _sum_rates(steps, flows, devices, paths, bounds)
            _mix_arrivals(steps, flows, devices, paths)
            for device in range(bounds[0], bounds[1]):
                _serve(steps, devices, grid, device)
            change = _change(steps, flows, devices, paths, gain)
            if change <= tolerance:
                break
            if change > STALLED * before:
                gain *= CALMING
            before = change


@inlined
def _sum_rates(
    steps: Steps, flows: Flows, devices: Devices, paths: tuple[int, int], bounds: tuple[int, int]
) -> None:
    """Thin the rates along each path, and sum them over the devices."""
    for device in range(bounds[0], bounds[1]):
        devices.rate[device] = devices.work[device] = devices.square[device] = 0.0
        devices.units[device] = devices.herfindahl[device] = 0.0
        devices.scv[device] = devices.spaced[device] = 0.0
    for path in range(paths[0], paths[1]):
        through = 1.0
        for step in range(steps.path_step[path], steps.path_step[path + 1]):
            rate = steps.source_rate[step] * through
            through *= flows.passed[step]
            flows.rate[step] = rate
            device, mean = steps.device[step], steps.mean[step]
            devices.rate[device] += rate
            devices.work[device] += rate * mean
            devices.square[device] += rate * (1.0 + steps.scv[step]) * mean * mean
            devices.units[device] += rate * steps.demand[step]


@inlined
def _mix_arrivals(steps: Steps, flows: Flows, devices: Devices, paths: tuple[int, int]) -> None:
    """Sum what the streams bring to the variability of each device's arrivals."""
    for path in range(paths[0], paths[1]):
        start = steps.path_step[path]
        for step in range(start, steps.path_step[path + 1]):
            device = steps.device[step]
            share = flows.rate[step] / max(devices.rate[device], _TINY)
            devices.herfindahl[device] += share * share
            devices.scv[device] += share * flows.scv[step]
            if step > start:
                off = flows.scv[step] - _felt(steps, flows, devices, step, start)
                devices.spaced[device] += share * share * off


@inlined
def _felt(steps: Steps, flows: Flows, devices: Devices, step: int, start: int) -> float:
    """SCV as which a stream alone is felt at a step after its first, where it has waited before."""
    source, device = steps.device[step - 1], steps.device[step]
    scv, constancy = flows.scv[step], 1.0 - steps.scv[step - 1]
    if constancy <= 0.0 or steps.servers[source] > 1.0 or steps.servers[device] > 1.0:
        return float(scv)
    spacing, mean = _spacing(steps, flows, devices, step, start), steps.mean[step]
    own_load = flows.rate[step - 1] * spacing
    exceeding = 0.0
    if spacing < mean and own_load < 1.0:
        ratio = (spacing / mean) ** 2 * (1.0 - devices.work[device]) / (1.0 - own_load)
        exceeding = 1.0 - min(max(ratio, 0.0), 1.0)
    source_scv = steps.source_scv[start]
    felt = min(scv, max(source_scv, 1.0) * exceeding)
    if _alone(steps, flows, devices, step - 1) and _alone(steps, flows, devices, step):
        # What is not lost upstream arrives in the end: its long swings are only delayed.
        loss = devices.loss[source]
        idle = max(1.0 - devices.work[source] * (1.0 - loss), 0.0)
        felt = max(felt, source_scv * exceeding * idle / max(idle + loss, _TINY))
    return float(scv + constancy * (felt - scv))


@inlined
def _spacing(steps: Steps, flows: Flows, devices: Devices, step: int, start: int) -> float:
    """Least distance of a stream's jobs as they come from the step before [s].

    It is the service there, or a longer one before, where nothing in between could shrink it.
    """
    row = step - 1
    longest = steps.mean[row]
    while row > start and steps.scv[row] == 0.0 and _alone(steps, flows, devices, row):
        row -= 1
        if steps.scv[row] > 0.0 or steps.servers[steps.device[row]] > 1.0:
            break
        longest = max(longest, steps.mean[row])
    return float(longest)


@inlined
def _alone(steps: Steps, flows: Flows, devices: Devices, step: int) -> bool:
    """Whether a step is nearly all that its device does."""
    return bool(flows.rate[step] >= ALONE * devices.rate[steps.device[step]])


@inlined
def _serve(steps: Steps, devices: Devices, grid: Grid, device: int) -> None:
    """Find loss, mean jobs and departures of one device from the mix of its arrivals."""
    servers = steps.servers[device]
    rate, work = max(devices.rate[device], _TINY), devices.work[device]
    mean, load = work / rate, work / servers
    service_scv = 0.0
    if mean > 0.0:
        service_scv = max(devices.square[device] / rate / mean**2 - 1.0, 0.0)
    idle = 1.0 - min(load, 1.0)
    streams = 1.0 / max(devices.herfindahl[device], _TINY)
    arrival_scv = 1.0 + (devices.scv[device] - 1.0) / (1.0 + 4.0 * idle**2 * (streams - 1.0))
    felt = max(arrival_scv - devices.spaced[device], 0.0)
    both = max(felt + service_scv, SMALLEST_SUM)
    # Below a sum of 1 no service law of M/G/1 helps; a longer room does, and its line is scaled
    # back: a diffusion of variance v in a room R is that of variance 1 in R / v, times v.
    scale = min(both, 1.0)
    room = max(steps.capacity[device] / max(devices.units[device] / rate, 1.0), 1.0)
    capacity = 1.0 + (room - 1.0) / scale
    loss, jobs = loss_and_jobs_of(load, max(both - 1.0, 0.0), capacity, servers, grid)
    smooth = max(1.0 - arrival_scv, 0.0)
    rarer = math.exp(-2.0 * idle * smooth**2 / (3.0 * max(load, _TINY) * both))
    waiting = min(scale * rarer * (jobs - work * (1.0 - loss)), room)
    loss *= rarer
    busy = min(load * (1.0 - loss), 1.0)
    pauses = (1.0 - busy) * max(2.0 * (1.0 - loss) - (1.0 - busy), 0.0)
    thinned = 1.0 + (1.0 - loss) * (arrival_scv - 1.0)
    served = 1.0 + (service_scv - 1.0) / math.sqrt(servers)
    devices.loss[device] = loss
    devices.jobs[device] = waiting + work * (1.0 - loss)
    devices.departing[device] = busy**2 * served + pauses * thinned


@inlined
def _change(
    steps: Steps, flows: Flows, devices: Devices, paths: tuple[int, int], gain: float
) -> float:
    """Move the flows towards what the devices make of them; return by how much they differ."""
    largest = 0.0
    for path in range(paths[0], paths[1]):
        start = steps.path_step[path]
        handed_on = steps.source_scv[start]
        for step in range(start, steps.path_step[path + 1]):
            device = steps.device[step]
            share = flows.rate[step] / max(devices.rate[device], _TINY)
            fits = steps.demand[step] <= steps.capacity[device]
            flows.accepted[step] = 1.0 - devices.loss[device] if fits else 0.0
            thinner = flows.accepted[step] - flows.passed[step]
            smoother = handed_on - flows.scv[step]
            flows.passed[step] += gain * thinner
            flows.scv[step] += gain * smoother
            largest = max(largest, abs(thinner), SCV_WEIGHT * abs(smoother))
            # A random share p of a stream has SCV 1 + p (SCV - 1).
            handed_on = 1.0 + share * (devices.departing[device] - 1.0)
    return largest
